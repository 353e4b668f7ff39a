import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { measuredFigures } from '@stead/core/foresight/figures.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { singleFailures } from '@stead/core/foresight/supposition.ts'
import { everyFailureView, SingleFailures } from './every-single-failure.ts'

function cluster() {
  const fixture = new ClusterFixture(3)
  for (const [name, host, other] of [
    ['web', 'h1', 'h2'],
    ['mail', 'h2', 'h3'],
  ] as const) {
    const { guest } = fixture.guestWithDisk(name, [host, other])
    fixture.grant(guest, host)
    fixture.observe(guest, {})
  }
  return fixture
}

/** Not changed any more by the fixture. */
function stateOf({ state }: ClusterFixture): ClusterState {
  const { guests, volumes, grants, observations } = state
  return {
    ...state,
    ...{ guests: new Map(guests), volumes: new Map(volumes) },
    ...{ grants: new Map(grants), observations: new Map(observations) },
  }
}

/** Each failure that is worked out rests once before. */
function rig(fixture: ClusterFixture) {
  const rig = { rests: 0, atRest: async () => {}, state: stateOf(fixture) }
  const failures = new SingleFailures({
    sleep: async () => {
      rig.rests++
      await rig.atRest()
    },
  } as never)
  const now = () => {
    const { state } = rig
    return { state, options: { figures: measuredFigures(state, []), wallMs: 0 } }
  }
  return { rig, ask: (signal = new AbortController().signal) => failures.ask(signal, now) }
}

test('who asks while an answer is worked out gets that one; who asks later has another one worked out', async () => {
  const fixture = cluster()
  const { rig: seen, ask } = rig(fixture)
  const each = singleFailures(fixture.state).length
  const [first, second] = await Promise.all([ask(), ask()])
  assert.ok(first)
  assert.equal(first, second)
  assert.equal(seen.rests, each)
  await ask()
  assert.equal(seen.rests, 2 * each)
})

test('who asks after something has changed waits for an answer about that', async () => {
  const fixture = cluster()
  const { rig: seen, ask } = rig(fixture)
  const before = ask()
  const { guest } = fixture.guestWithDisk('new', ['h1', 'h2'])
  fixture.grant(guest, 'h1')
  fixture.observe(guest, {})
  seen.state = stateOf(fixture)
  const [old, fresh] = await Promise.all([before, ask()])
  const named = (answer: typeof old) =>
    answer?.items.some(({ guests }) => guests.some(({ name }) => name === 'new')) ?? false
  assert.deepEqual([named(old), named(fresh)], [false, true])
  assert.equal(seen.rests, 2 * singleFailures(fixture.state).length)
})

test('it is given up once nobody waits, and not before', async () => {
  const fixture = cluster()
  const { rig: seen, ask } = rig(fixture)
  const [one, other] = [new AbortController(), new AbortController()]
  seen.atRest = async () => {
    if (seen.rests === 1) one.abort()
    if (seen.rests === 3) other.abort()
  }
  assert.deepEqual(await Promise.all([ask(one.signal), ask(other.signal)]), [undefined, undefined])
  assert.equal(seen.rests, 3)
  assert.ok(await ask(), 'the next one is not kept from asking')
})

test('the brief view counts what the whole one lists', async () => {
  const fixture = cluster()
  const answer = await rig(fixture).ask()
  assert.ok(answer)
  const whole = everyFailureView(answer, fixture.state, { brief: false })
  const brief = everyFailureView(answer, fixture.state, { brief: true })
  assert.ok(whole.items.some(({ sums }) => sums.down > 0))
  for (const [index, { guests, data, sums, summary }] of whole.items.entries()) {
    const short = brief.items[index]
    assert.deepEqual(sums, {
      down: guests.filter(({ interruptions }) => interruptions > 0).length,
      stayDown: guests.filter(({ downMs }) => downMs === null).length,
      longestDownMs: Math.max(0, ...guests.map(({ downMs }) => downMs ?? 0)),
      lastCopies: data.filter(({ risk }) => risk === 'last-copy').length,
      outOfReach: data.filter(({ risk }) => risk === 'out-of-reach').length,
    })
    assert.deepEqual([short?.sums, short?.summary], [sums, summary])
    assert.deepEqual([short?.guests, short?.data, short?.breaches, short?.timeline], [[], [], [], []])
  }
})
