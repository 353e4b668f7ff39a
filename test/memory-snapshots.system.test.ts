/** Snapshots with the memory of a guest that counts in it and on its disk: on real hosts, brought back on another one. */
import assert from 'node:assert/strict'
import { chmodSync, closeSync, existsSync, openSync, readdirSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import type { SnapshotsView } from '@stead/api/endpoints/snapshots.ts'
import { EventWatch, signal } from './support/fault-watch.ts'
import { LabCluster } from './support/lab-cluster.ts'
import { MirroredGuest } from './support/mirrored-guest.ts'

const GUEST = 'demo'

suite('snapshots with the memory', { timeout: 600_000 }, () => {
  let lab: LabCluster
  let guest: MirroredGuest
  /** The last record that the guest was told is safe before the snapshot, and one that came after it. */
  let before1 = 0
  let after1 = 0

  const pool = (host: string) => join(lab.hostFolder(host), 'pools', 'default')
  const images = (host: string) =>
    existsSync(pool(host)) ? readdirSync(pool(host)).filter((name) => name.includes('.memory-')) : []
  const list = async () => (await lab.json<SnapshotsView>('vm', 'snapshot', 'list', GUEST)).items

  function damage(host: string): void {
    const path = join(pool(host), images(host)[0]!)
    chmodSync(path, 0o600)
    const file = openSync(path, 'r+')
    writeSync(file, 'damage', 1 << 20)
    closeSync(file)
  }

  /** It has gone on from the snapshot: the first record of this run follows the last one before it, and none is missing. */
  async function assertResumed(): Promise<void> {
    await lab.until('it runs again', async () => (await lab.guest(GUEST)).state === 'running')
    await lab.until('it goes on', async () => /^ACK \d+/m.test(await lab.console(GUEST)))
    const text = await lab.console(GUEST)
    assert.doesNotMatch(text, /RESUME/, 'it has not booted')
    // A line may have been half written when it stood still.
    const first = Number(/^ACK (\d+)\r?$/m.exec(text)?.[1])
    assert.ok(before1 < first && first <= after1 + 2, `${before1} < ${first} <= ${after1 + 2}`)
    await lab.recordsPast(GUEST, first + 10)
    await lab.untilProtected(GUEST)
    await lab.assertNothingLost(GUEST)
  }

  before(async () => {
    lab = await LabCluster.up({ hosts: 2, witness: true })
    guest = await MirroredGuest.create(lab, GUEST)
  })
  after(() => lab?.down())

  test('the guest goes on, and each host of a replica has an image', async () => {
    const watch = await EventWatch.begin(lab)
    before1 = await lab.acknowledged(GUEST)
    await lab.must('vm', 'snapshot', 'create', GUEST, 's1', '--memory')
    after1 = await lab.acknowledged(GUEST)
    const { details } = await watch.until('snapshot.created', { snapshot: 's1' })
    assert.equal(typeof details?.['pauseMs'], 'number')
    const [snapshot] = await list()
    assert.deepEqual(snapshot?.memory?.hosts.toSorted(), ['h1', guest.remote].toSorted())
    assert.ok(snapshot.memory.bytes > 1 << 20)
    for (const host of ['h1', guest.remote]) assert.equal(images(host).length, 1)
    await lab.recordsPast(GUEST, after1 + 10)
  })

  test('a roll-back brings it back to that moment, without a boot; memory and disk agree', async () => {
    const { epoch } = await lab.guest(GUEST)
    await lab.must('vm', 'snapshot', 'rollback', GUEST, 's1')
    await assertResumed()
    assert.ok((await lab.guest(GUEST)).epoch > epoch)
  })

  test('it waits for its start, and goes on on another host, whose own image is damaged', async () => {
    damage(guest.remote)
    await lab.must('vm', 'snapshot', 'rollback', GUEST, 's1', '--no-start')
    const refused = await lab.run('vm', 'snapshot', 'delete', GUEST, 's1')
    assert.match(refused.stderr, /the memory is still needed/)
    await lab.must('host', 'drain', 'h1')
    await lab.must('vm', 'start', GUEST)
    await assertResumed()
    assert.equal((await lab.guest(GUEST)).host, guest.remote)
    await lab.must('host', 'undrain', 'h1')
  })

  test("the agent of the guest's host is killed in the middle: whole or gone, and the guest goes on", async () => {
    const { host } = await lab.guest(GUEST)
    assert.ok(host !== null)
    const asked = lab.run('vm', 'snapshot', 'create', GUEST, 's2', '--memory')
    await lab.until('the image is begun', async () => images(host).length > 1)
    await signal(lab, host, 'agent')
    await asked
    await lab.until('it is whole or gone', async () => (await list()).every(({ state }) => state === 'ready'))
    await lab.recordsPast(GUEST, (await lab.acknowledged(GUEST)) + 5)
    const isWhole = (await list()).some(({ name }) => name === 's2')
    if (isWhole) await lab.must('vm', 'snapshot', 'delete', GUEST, 's2')
    await lab.until('one image is left', async () => ['h1', guest.remote].every((each) => images(each).length === 1))
  })

  test('a schedule takes one with the memory, and the oldest of its own goes with its images', async () => {
    const ofUser = (await list()).map(({ name }) => name)
    const own = async () => (await list()).filter(({ name, state }) => !ofUser.includes(name) && state === 'ready')
    await lab.must('vm', 'snapshot', 'schedule', GUEST, '--every', '1m', '--keep', '1', '--memory')
    await lab.until('it has taken one', async () => (await own()).length > 0)
    const [first] = await own()
    assert.deepEqual(first?.memory?.hosts.toSorted(), ['h1', guest.remote].toSorted())
    const isGone = async () => !(await own()).some(({ name }) => name === first?.name)
    await lab.until(
      'the next one has taken its place',
      async () => (await own()).length === 1 && (await isGone()),
      150_000,
    )
    assert.notEqual((await own())[0]?.memory, null)
    await lab.must('vm', 'snapshot', 'schedule', GUEST, '--off')
    const held = async () => [...images('h1'), ...images(guest.remote)].some((name) => name.includes(first?.id ?? ''))
    await lab.until('its images are gone', async () => !(await held()))
    for (const { name } of await own()) await lab.must('vm', 'snapshot', 'delete', GUEST, name)
  })

  test('hardware that has changed since is refused before anything is touched', async () => {
    await lab.must('vm', 'nic', 'add', GUEST)
    const refused = await lab.run('vm', 'snapshot', 'rollback', GUEST, 's1')
    assert.match(refused.stderr, /its hardware has changed since \(network cards\)/)
    assert.match(refused.stderr, /--without-memory/)
    assert.equal((await lab.guest(GUEST)).state, 'running')
  })

  test('without its memory it boots, also where all images are damaged', async () => {
    for (const host of ['h1', guest.remote]) damage(host)
    await lab.must('vm', 'snapshot', 'rollback', GUEST, 's1', '--without-memory')
    await lab.until('it boots', async () => /RESUME/.test(await lab.console(GUEST)))
    await lab.must('vm', 'snapshot', 'delete', GUEST, 's1')
    await lab.until('no image is left', async () => ['h1', guest.remote].every((host) => images(host).length === 0))
  })
})
