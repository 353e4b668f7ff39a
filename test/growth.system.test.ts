/** Memory and processors of a guest that runs: given, moved with it to another host, asked back. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { qemuOf } from './support/fault-watch.ts'
import { LabCluster } from './support/lab-cluster.ts'

const NAME = 'grow'
const MEBIBYTE = 2 ** 20

/**
 * Takes what it is given, as a distribution's udev rules do, and says what it has whenever that changes. A processor is
 * brought up once, when it appears: one that is just being given back must not be taken again.
 */
const SCRIPT = `
insmod /modules/virtio_balloon.ko; insmod /modules/virtio_mem.ko
echo online_movable > /sys/devices/system/memory/auto_online_blocks
seen= known=
while :; do
  there=
  for c in /sys/devices/system/cpu/cpu*/online; do
    there="$there $c"
    case "$known " in *" $c "*) ;; *) [ "$(cat $c 2>/dev/null)" = 0 ] && echo 1 > $c ;; esac
  done
  known=$there
  now="cpus $(cat /sys/devices/system/cpu/online) memory $(awk '/MemTotal/ { print $2 }' /proc/meminfo)"
  [ "$now" = "$seen" ] || echo "HAS $now"
  seen=$now
  usleep 200000
done
`

suite('memory and processors that change while the guest runs', { timeout: 600_000 }, () => {
  let lab: LabCluster

  before(async () => {
    lab = await LabCluster.up()
    await lab.createScripted(NAME, SCRIPT, {
      ...{ host: 'h1', memory: '256MiB' },
      more: ['--max-memory', '640MiB', '--max-cpus', '3'],
    })
    await lab.until('it has booted', async () => (await has()).cpus === '0', 120_000)
  })
  after(() => lab?.down())

  /** As the guest sees it. */
  const has = async () => {
    const [, cpus = '', kibibytes = '0'] =
      [...(await lab.console(NAME)).matchAll(/^HAS cpus (\S+) memory (\d+)\r?$/gm)].at(-1) ?? []
    return { cpus, memoryBytes: Number(kibibytes) * 1024 }
  }
  const until = (what: string, isSo: () => Promise<boolean>) => lab.until(`${NAME}: ${what}`, isSo, 60_000)
  const settled = () => until('nothing is pending', async () => (await lab.guest(NAME)).pending.length === 0)
  const now = async () => (await lab.guest(NAME)).now

  test('processors and memory are added, and counted', async () => {
    const pid = qemuOf(lab, NAME)
    const before = (await has()).memoryBytes
    await lab.must('vm', 'set', NAME, '--cpus', '3', '--memory', '512MiB')
    await until('it uses three processors', async () => (await has()).cpus === '0-2')
    await until('it sees more memory', async () => (await has()).memoryBytes >= before + 240 * MEBIBYTE)
    await settled()
    assert.deepEqual(await now(), { memoryBytes: 512 * MEBIBYTE, cpus: 3, balloonBytes: 512 * MEBIBYTE })
    const host = (await lab.hosts()).find(({ name }) => name === 'h1')
    assert.equal(host?.memoryGrantedBytes, 512 * MEBIBYTE)
    assert.equal(qemuOf(lab, NAME), pid)
    const tooMuch = await lab.run('vm', 'set', NAME, '--memory', '900GiB')
    assert.match(tooMuch.stderr, /cannot give it that/)
  })

  test('a balloon takes memory, and says what the guest has free', async () => {
    await lab.must('vm', 'set', NAME, '--balloon', '448MiB')
    await until('the balloon is full', async () => (await now())?.balloonBytes === 448 * MEBIBYTE)
    await until('the guest has told', async () => ((await lab.guest(NAME)).memoryUse?.freeBytes ?? 0) > 0)
    assert.match(await lab.must('vm', 'show', NAME), /memory use: .* free, .* available of/)
    // Emptied before the guest moves: see docs/internals/hardware.md for what was seen of a full one.
    await lab.must('vm', 'set', NAME, '--balloon', 'off')
    await until('the balloon is empty', async () => (await now())?.balloonBytes === 512 * MEBIBYTE)
  })

  test('emulated, it does not move live with memory that it was given', async () => {
    const refused = await lab.run('vm', 'migrate', NAME, '--to', 'h2')
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /memory that it was given while it ran: take that back first, or restart it/)
    assert.equal((await lab.guest(NAME)).host, 'h1')
  })

  test('what is asked back counts until it has been given back', async () => {
    await lab.must('vm', 'set', NAME, '--memory', '256MiB')
    await until('its host has all of it back', async () => (await now())?.memoryBytes === 256 * MEBIBYTE)
    assert.deepEqual(await now(), { memoryBytes: 256 * MEBIBYTE, cpus: 3, balloonBytes: 256 * MEBIBYTE })
    await settled()
    await until('the host counts it no more', async () => {
      const host = (await lab.hosts()).find(({ name }) => name === 'h1')
      return host?.memoryGrantedBytes === 256 * MEBIBYTE
    })
  })

  test('its processors move live with it, and are given back there', async () => {
    await lab.must('vm', 'migrate', NAME, '--to', 'h2')
    await until('the new host has looked', async () => (await now())?.cpus === 3)
    assert.deepEqual(await now(), { memoryBytes: 256 * MEBIBYTE, cpus: 3, balloonBytes: 256 * MEBIBYTE })
    assert.equal((await has()).cpus, '0-2')
    assert.equal((await lab.console(NAME)).match(/GUEST ready/g)?.length, 1, 'it was booted once')
    await lab.must('vm', 'set', NAME, '--cpus', '1')
    await until('it has one processor', async () => (await has()).cpus === '0')
  })

  test('beyond the maximum it waits for the next start', async () => {
    await lab.must('vm', 'set', NAME, '--cpus', '4', '--memory', '704MiB')
    await until('it has as much as fits', async () => (await now())?.memoryBytes === 640 * MEBIBYTE)
    assert.match(await lab.must('vm', 'show', NAME), /cpus: it runs with 1; the change takes effect at its next start/)
    assert.match(await lab.must('vm', 'show', NAME), /given none again/, 'an emulated guest')
    await lab.must('vm', 'stop', NAME, '--force')
    await lab.must('vm', 'start', NAME)
    await until('it has booted with all of it', async () => (await has()).cpus === '0-3')
  })
})
