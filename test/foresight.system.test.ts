/** What was foreseen is what happens: on a real cluster, before and after the plug is pulled. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { ForeseenView, ForesightView } from '@stead/api/foresight-view.ts'
import { LabCluster } from './support/lab-cluster.ts'

const GUESTS = ['db', 'web1', 'web2'] as const

suite('foresight', { timeout: 300_000 }, () => {
  let lab: LabCluster
  before(async () => {
    lab = await LabCluster.up()
    for (const [index, name] of GUESTS.entries()) await lab.createIdle(name, { host: index === 0 ? 'h1' : 'h2' })
    for (const name of GUESTS) await lab.untilProtected(name)
  })
  after(() => lab?.down())

  const placesNow = async () =>
    Object.fromEntries(await Promise.all(GUESTS.map(async (name) => [name, (await lab.guest(name)).host])))

  test('a rehearsed change says what it would do and does nothing', async () => {
    const before = await placesNow()
    const foreseen = await lab.json<ForeseenView>('host', 'drain', 'h2', '--what-if')
    assert.deepEqual(foreseen.guests.map((guest) => guest.name).toSorted(), ['web1', 'web2'])
    // They move live: touched, and not interrupted.
    assert(foreseen.guests.every((guest) => guest.from === 'h2' && guest.to !== 'h2' && guest.interruptions === 0))
    const hosts = await lab.json<readonly { name: string; state: string }[]>('host', 'list')
    assert.deepEqual(new Set(hosts.map((host) => host.state)), new Set(['online']))
    assert.deepEqual(await placesNow(), before)
    const failed = await lab.run('vm', 'stop', 'nobody', '--what-if')
    assert.equal(failed.code, 4, 'what would be refused is refused')
  })

  test('a policy may demand the look: a change without the token, or with an old one, is refused', async () => {
    await lab.must('policy', 'set', '--what-if-required', 'true')
    const blind = await lab.run('vm', 'stop', 'web2')
    assert.equal(blind.code, 5)
    assert.match(blind.stderr, /demands a look first/)
    const { token } = await lab.json<ForeseenView>('vm', 'stop', 'web2', '--what-if')
    const stale = await lab.run('vm', 'stop', 'db', '--foreseen', token)
    assert.equal(stale.code, 5)
    await lab.must('vm', 'stop', 'web2', '--force', '--foreseen', token)
    const again = await lab.json<ForeseenView>('policy', 'set', '--what-if-required', 'false', '--what-if')
    await lab.must('policy', 'set', '--what-if-required', 'false', '--foreseen', again.token)
    await lab.must('vm', 'start', 'web2')
    await lab.untilProtected('web2')
  })

  test('the loss of a host goes as foreseen, and its decision can be made again', async () => {
    const foreseen = await lab.json<ForesightView>('what-if', 'host-down', 'h2')
    const expected = { ...(await placesNow()), ...Object.fromEntries(foreseen.guests.map((one) => [one.name, one.to])) }
    assert(foreseen.guests.length > 0)
    await lab.must('lab', 'power-off', 'h2')
    await lab.until('all guests run again', async () => {
      const guests = await Promise.all(GUESTS.map((name) => lab.guest(name)))
      return guests.every((guest) => guest.state === 'running' && guest.host !== 'h2')
    })
    assert.deepEqual(await placesNow(), expected)
    const [moved] = foreseen.guests
    const { decision } = await lab.json<{ decision: { plan: string } }>('explain', 'vm', moved?.name ?? '')
    const replayed = await lab.json<{ same: boolean; recorded: unknown[] }>('replay', decision.plan)
    assert.equal(replayed.same, true)
    assert(replayed.recorded.length > 0)
  })

  test('every single failure is told, the worst first, also with a host down', async () => {
    const { items } = await lab.json<{ items: readonly ForesightView[] }>('what-if', 'every-single-failure')
    const [worst] = items
    assert(worst)
    assert.equal(worst.canDecide, false, 'of three voters one is down already')
    assert.match(worst.summary, /nothing can be decided/)
  })
})
