/** Native roots that move, and copies that follow them: part of a suite whose lab has pools on btrfs. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { VolumeView } from '@stead/api/views.ts'
import type { LabCluster } from './lab-cluster.ts'

const NAME = 'native3'
/** The other one has the cluster's store. */
const HOST = 'h2'
const OTHER = 'h1'

export function nativeRootCopyTests(labOf: () => LabCluster): void {
  const sh = (script: string) => labOf().must('ct', 'exec', NAME, '--', 'sh', '-c', script)
  const root = async () => (await labOf().guest(NAME)).volumes[0]!
  const home = async () => (await root()).replicas.map(({ host }) => host).join()
  const pool = (host: string) => join(labOf().hostFolder(host), 'pools', 'btrfs', 'subvolumes')
  const onHost = (host: string, script: string) =>
    labOf().must('lab', 'exec', host, '--', 'sh', '-c', script, 'sh', pool(host))
  const nothingOn = async (host: string, volume: string) => {
    await labOf().until(
      `nothing of it is left on ${host}`,
      async () => !(await onHost(host, 'ls "$1"')).includes(volume),
    )
    assert.doesNotMatch(await onHost(host, 'btrfs qgroup show "$1"'), new RegExp(volume))
  }

  test('a native root moves: sent while it runs, the rest while it stands still, with its quota', async () => {
    const lab = labOf()
    const size = ['--template', 'busybox', '--memory', '64MiB', '--disk', '48MiB', '--host', HOST]
    await lab.must('ct', 'create', NAME, ...size, '--native-root', '--start')
    await sh('echo first > /root/room; dd if=/dev/urandom of=/root/more bs=1M count=8 2>/dev/null; sync -f /')
    const { id } = await root()
    const moved = await lab.run('ct', 'migrate', NAME, '--to', OTHER)
    assert.equal(moved.code, 0, moved.stderr)
    assert.match(moved.stderr, /moves by a restart: .*its root is a subvolume of its host, which is sent while it runs/)
    assert.match(moved.stderr, /away for about \d/)
    assert.deepEqual([(await lab.guest(NAME)).host, await home()], [OTHER, OTHER])
    assert.equal((await sh('cat /root/room; wc -c < /root/more')).trim(), `first\n${8 * 2 ** 20}`)
    await nothingOn(HOST, id)
    assert.match(await onHost(OTHER, 'btrfs qgroup show -r --raw "$1"'), new RegExp(String(48 * 2 ** 20)))
    assert.equal((await onHost(OTHER, 'ls "$1"')).includes('.copies'), false)
  })

  test('it moves while it is stopped; what cannot be is refused before anything is sent', async () => {
    const lab = labOf()
    await lab.must('ct', 'snapshot', 'create', NAME, 'before')
    const refused = await lab.run('ct', 'migrate', NAME, '--to', HOST)
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /has snapshots, which a native root does not take along: before/)
    await lab.must('ct', 'snapshot', 'delete', NAME, 'before')
    await lab.must('ct', 'stop', NAME)
    await lab.must('ct', 'set', NAME, '--copy-every', '1m')
    await lab.must('vm', 'relocate', NAME, '--to', HOST)
    assert.equal(await home(), HOST)
    // Nobody has opened it there yet: all that there is of it is the copy that was sent.
    await lab.until('it is followed', async () => {
      const [copy] = (await root()).copies
      return copy?.host === OTHER && copy.at !== null
    })
    await lab.must('ct', 'start', NAME)
    assert.equal((await lab.guest(NAME)).host, HOST)
    assert.equal((await sh('cat /root/room')).trim(), 'first')
    await lab.must('ct', 'set', NAME, '--no-copy')
    await nothingOn(OTHER, (await root()).id)
  })

  test('a drained host sends it away; with snapshots it stays, and the drain says why', async () => {
    const lab = labOf()
    await lab.must('ct', 'snapshot', 'create', NAME, 'before')
    const stays = await lab.run('host', 'drain', HOST)
    assert.notEqual(stays.code, 0)
    assert.match(stays.stderr, /no other host can take native3 \(.*has snapshots.*: before[;)]/)
    await lab.must('host', 'undrain', HOST)
    await lab.must('ct', 'snapshot', 'delete', NAME, 'before')
    const foreseen = await lab.must('what-if', 'drain', HOST)
    assert.match(foreseen, /the root of native3 is to move from h2 to h1: h2 is being drained/)
    await sh('echo drained > /root/room; sync /root/room')
    await lab.must('host', 'drain', HOST)
    await lab.until('it runs on the other host', async () => (await lab.guest(NAME)).host === OTHER)
    assert.equal(await home(), OTHER)
    assert.equal((await sh('cat /root/room')).trim(), 'drained')
    await nothingOn(HOST, (await root()).id)
    await lab.must('host', 'undrain', HOST)
    await sh('echo first > /root/room; sync /root/room')
    await lab.must('ct', 'migrate', NAME, '--to', HOST)
  })

  test('a copy follows it, is shown with its age, counts against its pool, and goes when it is not wanted', async () => {
    const lab = labOf()
    const refused = await lab.run('ct', 'set', NAME, '--copy-to', HOST)
    assert.match(refused.stderr, /The root itself is on h2/)
    await lab.must('ct', 'set', NAME, '--copy-every', '1m', '--copy-to', OTHER)
    await lab.until('there is a copy', async () => Boolean((await root()).copies[0]?.at))
    assert.match(await lab.must('ct', 'show', NAME), /disk0 is copied to h1\/btrfs, every 60 s: \d+ s old .*lost: wait/)
    const { pools } = await lab.json<{ pools: { name: string; allocatedBytes: number }[] }>('host', 'show', OTHER)
    assert.ok((pools.find(({ name }) => name === 'btrfs')?.allocatedBytes ?? 0) >= 48 * 2 ** 20)
    await lab.must('ct', 'set', NAME, '--no-copy')
    await lab.until('the copy is gone', async () => (await root()).copies.length === 0)
    const { id } = await root()
    await nothingOn(OTHER, id)
    await lab.until('so is its cut', async () => !(await onHost(HOST, 'ls "$1"')).includes(`${id}.copies`))
  })

  test('a copy that is asked for with the container follows from its beginning, and is in the file of the cluster', async () => {
    const lab = labOf()
    const size = ['--template', 'busybox', '--memory', '64MiB', '--disk', '16MiB', '--host', HOST, '--native-root']
    const made = await lab.run('ct', 'create', 'native4', ...size, '--copy-every', '1m', '--on-loss', 'start-from-copy')
    assert.equal(made.code, 0, made.stderr)
    assert.match(made.stderr, /a copy on h1 follows every 1 min/)
    const volume = async () => (await lab.guest('native4')).volumes[0]!
    await lab.until('there is a copy', async () => Boolean((await volume()).copies[0]?.at))
    const exported = await lab.must('export')
    assert.match(exported, /rootCopy:\n +everyMs: 60000\n +onLoss: start-from-copy\n/)
    const folder = mkdtempSync(join(tmpdir(), 'stead-file-'))
    try {
      writeFileSync(join(folder, 'cluster.yaml'), exported)
      assert.match(await lab.must('diff', '-f', join(folder, 'cluster.yaml')), /as the file says/)
    } finally {
      rmSync(folder, { recursive: true })
    }
    const { id } = await volume()
    await lab.must('ct', 'delete', 'native4')
    for (const host of [HOST, OTHER]) await nothingOn(host, id)
  })

  test('its host is lost: it starts from the copy where it may, and what that host has is set aside', async () => {
    const lab = labOf()
    await lab.must('ct', 'set', NAME, '--copy-every', '1m', '--on-loss', 'start-from-copy')
    await lab.until('there is a copy', async () => Boolean((await root()).copies[0]?.at))
    const { id } = await root()
    await sh('echo later > /root/room; sync /root/room')
    await lab.must('lab', 'power-off', HOST)
    await lab.until('it runs from the copy', async () => (await lab.run('ct', 'exec', NAME, '--', 'true')).code === 0)
    assert.deepEqual([(await lab.guest(NAME)).host, await home()], [OTHER, OTHER])
    assert.equal((await sh('cat /root/room')).trim(), 'first')
    assert.match(await lab.must('event', 'list'), /the copy of its root on h1, of .* s old, was taken for the root/)
    await lab.must('lab', 'power-on', HOST)
    const aside = async () =>
      (await lab.json<VolumeView[]>('volume', 'list')).find(({ attachment }) => attachment === 'detached')
    await lab.until('it is set aside', async () => {
      const names = await onHost(HOST, 'ls "$1"')
      return names.includes((await aside())?.id ?? '-') && !new RegExp(`^${id}$`, 'm').test(names)
    })
    const left = (await aside())!
    assert.equal(left.name, 'disk0-left-on-h2')
    assert.equal((await onHost(HOST, `cat "$1/${left.id}/root/room"`)).trim(), 'later')
    await lab.must('volume', 'delete', left.id)
    await nothingOn(HOST, left.id)
  })

  test('what was never whole, of a volume that nobody knows, is swept when the agent begins; what is whole stays', async () => {
    const lab = labOf()
    const [half, whole] = ['0'.repeat(32), '1'.repeat(32)]
    const make = (volume: string) =>
      `mkdir -m 700 "$1/${volume}.copies"; btrfs subvolume create "$1/${volume}.copies/7"`
    await onHost(HOST, `${make(half)}; ${make(whole)}; echo '{"version":1}' > "$1/${whole}.copies/7.json"`)
    await lab.must('lab', 'kill', HOST, 'agent')
    await lab.until('the half one is gone', async () => !(await onHost(HOST, 'ls "$1"')).includes(half))
    assert.equal((await onHost(HOST, `ls "$1/${whole}.copies"`)).trim(), '7\n7.json')
    await onHost(HOST, `btrfs subvolume delete "$1/${whole}.copies/7"; rm -r "$1/${whole}.copies"`)
  })

  test('deleted, neither the root nor a copy of it stays', async () => {
    const lab = labOf()
    const { id } = await root()
    await lab.must('ct', 'stop', NAME, '--force')
    await lab.must('ct', 'delete', NAME)
    for (const host of [HOST, OTHER]) await nothingOn(host, id)
  })
}
