/** The lab's guest, booted in emulation without a network card, and what its recorder leaves on the disk. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { GUEST_APPEND, buildGuestImage } from './guest-image.ts'
import type { GuestImage } from './guest-image.ts'

const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url))
const RECORDER = join(REPOSITORY, '.native', 'bin', 'recorder')
const BOOT_MS_MAX = 60_000

const folder = mkdtempSync(join(tmpdir(), 'stead-guest-'))
const disk = join(folder, 'disk.raw')
let image: GuestImage

before(async () => {
  const built = await buildGuestImage(REPOSITORY)
  assert.ok(built.ok, JSON.stringify(built))
  image = built.value
  writeFileSync(disk, '')
  truncateSync(disk, 64 << 20)
})

after(() => rmSync(folder, { recursive: true, force: true }))

/** Boots the guest; presses the power button once `enough` says so. The value is its console. */
async function bootGuest(words: string, enough: (console: string) => boolean): Promise<string> {
  const qmp = join(folder, 'qmp.sock')
  const qemu = spawn(
    'qemu-system-x86_64',
    [
      ...[
        '-accel',
        'tcg',
        '-machine',
        'q35',
        '-cpu',
        'max',
        '-m',
        '128',
        '-nodefaults',
        '-display',
        'none',
        '-nic',
        'none',
      ],
      ...['-kernel', image.kernel, '-initrd', image.initrd, '-append', `${GUEST_APPEND} ${words}`],
      ...['-drive', `file=${disk},format=raw,if=virtio,cache=none`],
      ...['-serial', 'stdio', '-qmp', `unix:${qmp},server=on,wait=off`],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'], timeout: BOOT_MS_MAX, killSignal: 'SIGKILL' },
  )
  let console = ''
  let pressed = false
  qemu.stdout.setEncoding('utf8').on('data', (text: string) => {
    console += text
    if (pressed || !enough(console)) return
    pressed = true
    const monitor = connect(qmp, () => monitor.write('{"execute":"qmp_capabilities"}{"execute":"system_powerdown"}'))
    monitor.on('error', () => qemu.kill('SIGKILL')).resume()
  })
  const code = await new Promise((resolve) => qemu.on('close', resolve))
  assert.equal(code, 0, `the guest did not shut down by itself; its console:\n${console}`)
  return console
}

const numbers = (console: string, word: string) =>
  [...console.matchAll(new RegExp(`^${word} (\\d+)\\r?$`, 'gm'))].map((match) => Number(match[1]))

interface Verdict {
  readonly highest: number
  readonly missing: readonly number[]
  readonly missingCount: number
  readonly overwritten: number
}

function verify(from: number, to: number): Verdict {
  const done = spawnSync(RECORDER, ['verify', disk, String(from), String(to)], { encoding: 'utf8' })
  return JSON.parse(done.stdout) as Verdict
}

test('a guest records from 1, stops at its power button, and goes on where it was after the next boot', async () => {
  const first = await bootGuest('', (console) => numbers(console, 'ACK').length >= 5)
  assert.deepEqual(numbers(first, 'RESUME'), [0])
  const acknowledged = numbers(first, 'ACK')
  assert.deepEqual(
    acknowledged,
    acknowledged.map((_, index) => index + 1),
  )
  assert.doesNotMatch(first, /WERR|FERR/)

  const second = await bootGuest('stead.run=record:10', (console) => numbers(console, 'ACK').length >= 5)
  const resumed = numbers(second, 'RESUME')[0] ?? 0
  assert.ok(resumed >= acknowledged.length)
  assert.equal(numbers(second, 'ACK')[0], resumed + 1)

  const last = numbers(second, 'ACK').at(-1) ?? 0
  assert.deepEqual(verify(1, last).missing, [])
  assert.equal(verify(1, last + 100).missing.at(-1), last + 100)
})

test('a lost record is found missing', () => {
  const { highest } = verify(1, 1)
  const spoilt = spawnSync('dd', ['if=/dev/zero', `of=${disk}`, 'bs=4096', 'count=1', 'seek=2', 'conv=notrunc'])
  assert.equal(spoilt.status, 0)
  const verdict = verify(1, highest)
  assert.deepEqual(verdict.missing, [3])
  assert.equal(verdict.missingCount, 1)
})

test('a guest runs a command it is given, and more than one task', async () => {
  const script = Buffer.from('[ -b /dev/vda ] && recorder randwrite /dev/vda 4 1 4096 32 && echo DONE').toString(
    'base64',
  )
  const console = await bootGuest(`stead.run=idle,cmd:${script}`, (text) => text.includes('CMD exit'))
  assert.match(console, /RANDWRITE \d+ ops[\s\S]*DONE[\s\S]*CMD exit 0/)
})
