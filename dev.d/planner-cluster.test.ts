import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MersenneTwister } from './mersenne-twister.ts'
import { plannerCluster } from './planner-cluster.ts'
import { scoreOf } from './planner-score.ts'

describe('the clusters of `./dev bench planner`', () => {
  it('come from the same random numbers as those of the Python generator', () => {
    const random = new MersenneTwister(1)
    assert.deepEqual(
      [random.fraction(), random.fraction(), random.fraction()],
      [0.13436424411240122, 0.8474337369372327, 0.763774618976614],
    )
  })

  it('are the same that other planners got', () => {
    const { nodes, guests, constraints } = plannerCluster({ hosts: 10, guests: 100, place: 'spread' })
    assert.deepEqual(nodes[9], { id: 'n10', cpu: 32, memMiB: 69632, rack: 'r1' })
    assert.deepEqual(
      [guests[0], guests[99]],
      [
        { id: 'vm00001', cpu: 1, memMiB: 1024, priority: 0, node: 'n3' },
        { id: 'vm00100', cpu: 1, memMiB: 1024, priority: 0, node: 'n3' },
      ],
    )
    assert.equal(constraints.length, 28)
    assert.deepEqual(constraints.at(-1), { kind: 'ban', guest: 'vm00087', node: 'n2' })
  })

  it('break no rule and overfill no host to begin with', () => {
    for (const place of ['spread', 'packed'] as const) {
      const cluster = plannerCluster({ hosts: 20, guests: 400, place })
      const places = new Map(cluster.guests.map(({ id, node }) => [id, node]))
      const { rulesBroken, hostsOverfull, moved, unplaced } = scoreOf(cluster, places, new Set())
      assert.deepEqual(
        { rulesBroken, hostsOverfull, moved, unplaced },
        { rulesBroken: 0, hostsOverfull: 0, moved: 0, unplaced: 0 },
      )
    }
  })
})

describe('the score of a plan', () => {
  it('counts what is broken, moved, missed and left out', () => {
    const cluster = {
      format: 'spike-cluster/1',
      nodes: ['n1', 'n2', 'n3'].map((id) => ({ id, cpu: 4, memMiB: 4, rack: 'r0' })),
      guests: ['a', 'b', 'c', 'd'].map((id) => ({
        id,
        cpu: 1,
        memMiB: 3,
        priority: 0,
        node: id === 'd' ? 'n3' : 'n1',
      })),
      constraints: [
        { kind: 'apart', guests: ['a', 'b'], strict: true },
        { kind: 'together', guests: ['a', 'c'], strict: true },
        { kind: 'ban', guest: 'c', node: 'n2' },
        { kind: 'prefer', guest: 'a', node: 'n2' },
      ],
    } as const
    const places = new Map([
      ['a', 'n1'],
      ['b', 'n1'],
      ['c', 'n2'],
      ['d', 'n3'],
    ])
    assert.deepEqual(scoreOf(cluster, places, new Set(['n3'])), {
      moved: 1,
      unplaced: 1,
      rulesBroken: 3,
      preferencesMissed: 1,
      hostsOverfull: 1,
      spread: 0.375 + 0.125,
    })
  })
})
