import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readBenchCluster } from './bench-cluster.ts'

const CLUSTER = {
  format: 'spike-cluster/1',
  nodes: [
    { id: 'n1', cpu: 32, memMiB: 1024, diskGiB: 1, rack: 'r0' },
    { id: 'n2', cpu: 16, memMiB: 2048, diskGiB: 1, rack: 'r1' },
  ],
  guests: [
    { id: 'vm1', cpu: 1, memMiB: 512, priority: 10, node: 'n1' },
    { id: 'vm2', cpu: 2, memMiB: 256, priority: 0, node: 'n2' },
  ],
  constraints: [
    { kind: 'apart', guests: ['vm1', 'vm2'], strict: true },
    // oxlint-disable-next-line unicorn/no-thenable -- the format calls it so
    { kind: 'order', first: 'vm1', then: 'vm2' },
    { kind: 'prefer', guest: 'vm1', node: 'n2', score: 100 },
    { kind: 'ban', guest: 'vm2', node: 'n1' },
  ],
}

describe('a cluster to compare planners on', () => {
  it('becomes a planning problem, with the guests of lost hosts in need of a place', () => {
    const problem = readBenchCluster(CLUSTER, ['n1'])
    assert.ok(problem.ok)
    const { hosts, guests, rules } = problem.value
    assert.deepEqual(
      hosts.map(({ id, unusableBecause }) => [id, unusableBecause]),
      [
        ['n1', 'it is lost'],
        ['n2', ''],
      ],
    )
    assert.equal(hosts[1]?.memoryBytes, 2 ** 31)
    assert.deepEqual(
      guests.map(({ at, needsPlace }) => [at, needsPlace]),
      [
        [undefined, true],
        ['n2', false],
      ],
    )
    assert.deepEqual(
      rules.map(({ kind }) => kind),
      ['apart', 'order', 'hosts', 'ban'],
    )
  })

  it('is refused with the name of the field that is wrong', () => {
    const [node] = CLUSTER.nodes
    const [guest] = CLUSTER.guests
    const cases: [unknown, string][] = [
      [[], 'the file is not an object'],
      [{ ...CLUSTER, format: 'other/2' }, 'format is "other/2", not spike-cluster/1'],
      [{ ...CLUSTER, nodes: undefined }, 'nodes is not a list'],
      [{ ...CLUSTER, nodes: [{ ...node, memMiB: -1 }] }, 'nodes[0].memMiB is -1, not a number from 0'],
      [{ ...CLUSTER, nodes: [{ ...node, cpu: NaN }] }, 'nodes[0].cpu is null, not a number from 0'],
      [{ ...CLUSTER, nodes: [node, node] }, 'nodes: two have the same id'],
      [{ ...CLUSTER, guests: [guest, guest] }, 'guests: two have the same id'],
      [{ ...CLUSTER, guests: [{ ...guest, node: 'n9' }] }, 'guests[0].node names n9, which the file does not have'],
      [
        { ...CLUSTER, constraints: [{ kind: 'near' }] },
        'constraints[0].kind is "near": apart, together, order, prefer or ban',
      ],
      [
        { ...CLUSTER, constraints: [{ kind: 'ban', guest: 'vm7', node: 'n1' }] },
        'constraints[0].guest names vm7, which the file does not have',
      ],
    ]
    for (const [cluster, message] of cases) {
      const read = readBenchCluster(cluster)
      assert.equal(read.ok ? 'accepted' : read.error.message, message)
    }
    const lost = readBenchCluster(CLUSTER, ['n7'])
    assert.equal(lost.ok ? 'accepted' : lost.error.message, 'the host n7 is not in the file')
  })
})
