/** Containers move as machines do, live or by a restart, under the same faults: no run twice, nothing lost. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planFaults } from './fault-plan.ts'
import { playPlan } from './world-fuzz.ts'

/** The first showed a container that was sent from host to host, since the one that was asked for could not take it. */
const SEEDS = [5032, 5131, 5117, 5126, 5171, 5237, 5291, 5379, 5440, 5478, 5503, 5514]

test('in worlds full of faults containers keep what machines keep', async () => {
  for (const seed of SEEDS) {
    const { world, commands } = planFaults(seed)
    const containers = Object.keys(world.guests)
    const { violations, acknowledged } = await playPlan({ world: { ...world, containers }, commands })
    assert.deepEqual(violations, [], `seed ${seed}`)
    assert.ok(acknowledged > 0)
  }
})
