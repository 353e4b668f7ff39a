import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { linkSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { failure } from '@stead/core/errors.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { RunningConsole } from '../qemu/running-guest.ts'
import { GuestConsoles } from './guest-consoles.ts'
import { readPicture } from './screenshot.ts'
import { keyEvents } from './typist.ts'

const WEB = 'web' as GuestId

function folderOf(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'stead-console-'))
  context.after(() => rmSync(folder, { recursive: true }))
  return folder
}

/** Consoles whose keyboard keeps what was typed. */
function keyboard({ hasScreen = true } = {}) {
  const typed: string[] = []
  const clock: Clock = {
    monotonicMs: () => 0,
    wallMs: () => 0,
    sleep: () => new Promise((resolve) => setImmediate(resolve)),
  }
  const monitor = {
    execute: async (_command: string, { events }: { events: { data: { down: boolean; key: { data: string } } }[] }) => {
      typed.push(events.map(({ data }) => `${data.down ? '+' : '-'}${data.key.data}`).join(''))
      return ok()
    },
  }
  const screen = hasScreen ? { screen: { folder: {}, monitor } } : {}
  const found = { epoch: 1, name: 'web1', ...screen } as unknown as RunningConsole
  const containerOf = () => fail(failure('conflict', 'it is no container'))
  return { consoles: new GuestConsoles({ consoleOf: () => ok(found), containerOf, clock }), typed }
}

describe('typing into a guest', () => {
  it('presses keys in order and lets them go in the opposite one', () => {
    const events = keyEvents(['shift', 'a']) as { data: { down: boolean; key: { data: string } } }[]
    const shown = events.map(({ data }) => `${data.down ? '+' : '-'}${data.key.data}`)
    assert.deepEqual(shown, ['+shift', '+a', '-a', '-shift'])
  })

  it('types one text after the other', async () => {
    const { consoles, typed } = keyboard()
    await Promise.all([consoles.type(WEB, [['a'], ['b']], '1'), consoles.type(WEB, [['c'], ['d']], '2')])
    assert.deepEqual(typed, ['+a-a', '+b-b', '+c-c', '+d-d'])
  })

  it('types a request that was sent again once, while it is typed and after', async () => {
    const { consoles, typed } = keyboard()
    const both = await Promise.all([consoles.type(WEB, [['a']], '1'), consoles.type(WEB, [['a']], '1')])
    assert.ok(both.every((result) => result.ok))
    assert.ok((await consoles.type(WEB, [['a']], '1')).ok)
    assert.deepEqual(typed, ['+a-a'])
  })

  it('needs a screen', async () => {
    const { consoles } = keyboard({ hasScreen: false })
    for (const result of [
      await consoles.type(WEB, [['a']], '1'),
      await consoles.screenshot(WEB),
      await consoles.open(WEB, 'vnc', { scrollBack: true, size: { columns: 80, rows: 24 } }),
    ]) {
      assert.ok(!result.ok)
      assert.match(`${result.error.message} ${result.error.hint}`, /web1 has no screen .*--display vga/)
    }
  })
})

describe('a picture that QEMU has left', () => {
  const PNG = Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    Buffer.from('...'),
    Buffer.from('0000000049454e44ae426082', 'hex'),
  ])

  it('is read when it is whole', async (context) => {
    const path = join(folderOf(context), 'a.png')
    writeFileSync(path, PNG)
    const picture = await readPicture(path)
    assert.ok(picture.ok && picture.value.equals(PNG))
  })

  it('is nothing else: no link to another file, no pipe, no half, no other content', async (context) => {
    const folder = folderOf(context)
    const path = (name: string) => join(folder, name)
    writeFileSync(path('secret'), PNG)
    symlinkSync(path('secret'), path('symbolic'))
    linkSync(path('secret'), path('hard'))
    execFileSync('mkfifo', [path('pipe')])
    writeFileSync(path('half'), PNG.subarray(0, -12))
    writeFileSync(path('text'), 'root:x:0:0')
    writeFileSync(path('empty'), '')
    for (const name of ['symbolic', 'hard', 'pipe', 'half', 'text', 'empty', 'absent', '.']) {
      const picture = await readPicture(path(name))
      assert.ok(!picture.ok, name)
      assert.equal(picture.error.code, 'hypervisor')
    }
  })
})
