/** Containers whose roots are subvolumes, as a user has them: part of a suite whose lab has pools on btrfs. */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { LabCluster } from './lab-cluster.ts'

const NAME = 'native1'
const MIB = 2 ** 20
/** Its host: the other one has the cluster's store. */
const HOST = 'h2'
/** On the host, into a container's root: the program `btrfs` with all that it needs. */
const GIVE_BTRFS = `cp /usr/bin/btrfs "$1/bin/"
for each in $(ldd /usr/bin/btrfs | grep -o '/[^ ]*'); do mkdir -p "$1$(dirname "$each")"; cp -L "$each" "$1$each"; done`

export function nativeRootTests(labOf: () => LabCluster): void {
  const sh = (script: string) => labOf().must('ct', 'exec', NAME, '--', 'sh', '-c', script)
  const onHost = (script: string, ...args: string[]) =>
    labOf().must('lab', 'exec', HOST, '--', 'sh', '-c', script, 'sh', ...args)
  const pool = () => join(labOf().hostFolder(HOST), 'pools', 'btrfs', 'subvolumes')
  const volume = async () => (await labOf().guest(NAME)).volumes[0]!
  const diskspace = async () => {
    const table = await labOf().json<readonly { resource: string; held: number; limit: number; enforced: string }[]>(
      ...['ct', 'counters', NAME],
    )
    return table.find(({ resource }) => resource === 'diskspace')!
  }

  test('a native root: made of the template, on one host, without a disk', async () => {
    const lab = labOf()
    const size = ['--template', 'busybox', '--memory', '128MiB', '--disk', '48MiB', '--host', HOST]
    const made = await lab.run('ct', 'create', NAME, ...size, '--native-root', '--start')
    assert.equal(made.code, 0, made.stderr)
    assert.match(made.stderr, /unprotected: its root is a subvolume of h2, which nothing mirrors/)
    const { form, replicas } = await volume()
    assert.deepEqual([form, replicas.map(({ host, pool: name }) => `${host} ${name}`)], ['subvolume', ['h2 btrfs']])
    assert.match(await sh('mount'), / on \/ type btrfs /)
    const { id } = await lab.guest(NAME)
    const folder = join(lab.hostFolder(HOST), 'containers', id)
    const running = await onHost('cat /proc/[0-9]*/cmdline | tr "\\0" " "')
    assert.ok(!running.includes(`${folder}/front`) && !running.includes(`${folder}/disks`), running)
  })

  test('what a native root cannot have is refused before anything is made', async () => {
    const lab = labOf()
    const size = ['--template', 'busybox', '--memory', '64MiB', '--disk', '48MiB', '--native-root']
    for (const [more, why] of [
      [['--replicas', '2'], /a native root has one/],
      [['--mount', '16MiB:/srv'], /has no further disks/],
      [['--pool', 'default'], /pool default is not on btrfs/],
    ] as const) {
      const refused = await lab.run('ct', 'create', 'native2', ...size, ...more)
      assert.notEqual(refused.code, 0)
      assert.match(refused.stderr, why)
    }
    const { id } = await volume()
    for (const [command, why] of [
      [['volume', 'move', id, '--to', 'h1'], /is a subvolume, which nothing mirrors/],
      [['ct', 'clone', NAME, 'native2', '--host', 'h1'], /begins on h2, where its root is/],
      [['vm', 'template', NAME], /is a subvolume, no disk that could be copied/],
      [['ct', 'disk', 'add', NAME, '--size', '16MiB', '--mount', '/srv'], /goes with no further disks/],
    ] as const) {
      const refused = await lab.run(...command)
      assert.notEqual(refused.code, 0, command.join(' '))
      assert.match(refused.stderr, why)
    }
  })

  test('its size is a quota that stops exactly, is counted, and is no bar to a stop and a start', async () => {
    const lab = labOf()
    const filled = await lab.run(
      'ct',
      'exec',
      NAME,
      '--',
      'sh',
      '-c',
      'dd if=/dev/zero of=/big bs=1M count=64; sync -f /',
    )
    assert.match(filled.stdout + filled.stderr, /Disk quota exceeded/)
    const { held, limit, enforced } = await diskspace()
    assert.deepEqual([limit, enforced], [48 * 1024, 'limit'])
    assert.ok(held <= limit && held > limit - 1024, `${held} of ${limit}`)
    await lab.must('ct', 'stop', NAME)
    await lab.must('ct', 'start', NAME)
    await sh('rm /big; sync -f /')
    assert.equal((await sh('echo room > /root/room; cat /root/room')).trim(), 'room')
  })

  test('it makes no subvolume of its own, which would have no quota', async () => {
    const { id } = await labOf().guest(NAME)
    await onHost(GIVE_BTRFS, join(labOf().hostFolder(HOST), 'containers', id, 'rootfs'))
    for (const request of ['create /tmp/x', 'snapshot / /tmp/y'])
      assert.match(await sh(`btrfs subvolume ${request} 2>&1 || true`), /Operation not permitted/)
  })

  test('its limit grows while it runs', async () => {
    await labOf().must('volume', 'resize', (await volume()).id, '--size', '96MiB')
    await labOf().until('the kernel has the new limit', async () => (await diskspace()).limit === 96 * 1024)
    assert.equal((await volume()).sizeBytes, 96 * MIB)
    assert.match(await sh('dd if=/dev/zero of=/big bs=1M count=64 2>&1; rm /big'), /64\+0 records out/)
  })

  test('its limit shrinks while it runs, not below what it holds', async () => {
    const lab = labOf()
    const { id } = await volume()
    await lab.must('volume', 'resize', id, '--size', '64MiB')
    await lab.until('the kernel has the new limit', async () => (await diskspace()).limit === 64 * 1024)
    await sh('dd if=/dev/zero of=/big bs=1M count=40; sync -f /')
    const refused = await lab.run('volume', 'resize', id, '--size', '24MiB')
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /holds \d+ bytes/)
    assert.deepEqual([(await volume()).sizeBytes, (await diskspace()).limit], [64 * MIB, 64 * 1024])
    await sh('rm /big; sync -f /')
    await lab.must('volume', 'resize', id, '--size', '96MiB')
    await lab.until('the kernel has the new limit', async () => (await diskspace()).limit === 96 * 1024)
  })

  test('its agent is killed: the next one adopts it', async () => {
    const before = (await labOf().guest(NAME)).epoch
    await labOf().must('lab', 'kill', HOST, 'agent')
    await labOf().until(
      'it answers again',
      async () => (await labOf().run('ct', 'exec', NAME, '--', 'true')).code === 0,
    )
    assert.equal((await labOf().guest(NAME)).epoch, before)
    assert.equal((await sh('cat /root/room')).trim(), 'room')
  })

  test('a snapshot holds what was, and it is rolled back to it', async () => {
    const lab = labOf()
    await lab.must('ct', 'snapshot', 'create', NAME, 'before')
    await sh('echo other > /root/room')
    await lab.must('ct', 'snapshot', 'rollback', NAME, 'before')
    await lab.until('it runs again', async () => (await lab.run('ct', 'exec', NAME, '--', 'true')).code === 0)
    assert.equal((await sh('cat /root/room')).trim(), 'room')
    assert.equal((await diskspace()).limit, 96 * 1024)
    await lab.must('ct', 'snapshot', 'delete', NAME, 'before')
    await lab.until('the snapshot is gone', async () => !(await onHost('ls "$1"', pool())).includes('.snap-'))
  })

  test('cloned while it runs, the clone has what it had and a quota of its own', async () => {
    const lab = labOf()
    await lab.must('ct', 'clone', NAME, 'native2', '--start')
    const inClone = (script: string) => lab.must('ct', 'exec', 'native2', '--', 'sh', '-c', script)
    assert.equal((await inClone('cat /root/room; echo own > /root/room')).trim(), 'room')
    assert.equal((await sh('cat /root/room')).trim(), 'room')
    const filled = await lab.run('ct', 'exec', 'native2', '--', 'sh', '-c', 'dd if=/dev/zero of=/big bs=1M count=128')
    assert.match(filled.stdout + filled.stderr, /Disk quota exceeded/)
    await lab.must('ct', 'stop', 'native2', '--force')
    await lab.must('ct', 'delete', 'native2')
  })

  test('dumped while it runs, it is made again on the other host', async () => {
    const lab = labOf()
    const file = join(tmpdir(), `stead-native-${process.pid}.tar.zst`)
    try {
      await lab.must('ct', 'dump', NAME, file)
      await lab.must('ct', 'restore', 'native2', file, '--native-root', '--host', 'h1', '--start')
      assert.equal((await lab.must('ct', 'exec', 'native2', '--', 'cat', '/root/room')).trim(), 'room')
      assert.equal((await lab.guest('native2')).volumes[0]?.replicas[0]?.host, 'h1')
      await lab.must('ct', 'stop', 'native2', '--force')
      await lab.must('ct', 'delete', 'native2')
    } finally {
      rmSync(file, { force: true })
    }
  })

  test('its host loses power: it runs there again, with what was safe', async () => {
    const lab = labOf()
    await sh('echo safe > /root/room; sync /root/room')
    const before = (await lab.guest(NAME)).epoch
    await lab.must('lab', 'power-off', HOST)
    await lab.must('lab', 'power-on', HOST)
    await lab.until('it runs again', async () => (await lab.run('ct', 'exec', NAME, '--', 'true')).code === 0)
    const { host, epoch } = await lab.guest(NAME)
    assert.deepEqual([host, epoch > before], [HOST, true])
    assert.equal((await sh('cat /root/room')).trim(), 'safe')
  })

  test('deleted, neither a subvolume nor a quota of it stays', async () => {
    const lab = labOf()
    const { id } = await volume()
    await lab.must('ct', 'stop', NAME)
    await lab.must('ct', 'delete', NAME)
    await lab.until('it is gone', async () => !(await onHost('ls "$1"', pool())).includes(id))
    assert.doesNotMatch(await onHost('btrfs qgroup show "$1"', pool()), new RegExp(id))
  })
}
