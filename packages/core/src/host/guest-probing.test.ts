import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterFixture } from '../ha/cluster-fixture.ts'
import { PROBE_DEFAULTS, type Readiness, type ReadinessProbe } from '../model/probe.ts'
import { GuestProbing } from './guest-probing.ts'
import type { HostContext } from './host-context.ts'

const PROBE: ReadinessProbe = { ...PROBE_DEFAULTS, check: { kind: 'tcp', port: 80 } }

test('a probe that a running guest is given is tried from the next look on, until it is taken away', async () => {
  const cluster = new ClusterFixture()
  const { guest } = cluster.guestWithDisk('web', ['h1'])
  const said: (Readiness | undefined)[] = []
  let tries = 0
  const sleepers: (() => void)[] = []
  const turn = async () => {
    for (const wake of sleepers.splice(0)) wake()
    for (let each = 0; each < 20; each++) await Promise.resolve()
  }
  const give = (probe: ReadinessProbe | undefined) => {
    const known = cluster.state.guests.get(guest.id)
    assert.ok(known)
    const value = { ...known.value, lifecycle: probe ? { probe } : {} }
    ;(cluster.state.guests as Map<string, unknown>).set(guest.id, { ...known, value })
  }
  const context = {
    self: 'h1',
    mirror: { state: cluster.state },
    clock: {
      monotonicMs: () => 0,
      wallMs: () => 0,
      sleep: () => new Promise<void>((resolve) => sleepers.push(resolve)),
    },
    probe: { attempt: async () => ({ succeeded: true, tries: ++tries }), forget: () => undefined },
    events: { tell: () => undefined },
  } as unknown as HostContext
  const probing = new GuestProbing({
    ...{ context, guest: guest.id, epoch: 1, isRunning: () => true, onRestart: () => assert.fail() },
    onChange: (readiness) => said.push(readiness),
  })
  const isReady = () => said.at(-1)?.ready
  probing.look()
  await turn()
  assert.deepEqual([said, sleepers.length], [[undefined], 0])

  give(PROBE)
  probing.look()
  assert.equal(isReady(), false)
  await turn()
  assert.deepEqual([isReady(), tries], [true, 1])

  give(undefined)
  probing.look()
  await turn()
  assert.deepEqual([isReady(), tries, sleepers.length], [undefined, 1, 0])

  give(PROBE)
  probing.look()
  probing.look()
  await turn()
  assert.deepEqual([isReady(), tries, sleepers.length], [true, 2, 1])
  probing.end()
})
