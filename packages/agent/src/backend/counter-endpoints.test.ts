import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { failure } from '@stead/core/errors.ts'
import type { ContainerCounter } from '@stead/core/model/container-counters.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { GuestFigures } from '../counters/host-counters.ts'
import { TestBackend } from './backend-fixture.ts'

const MIB = 2 ** 20
const container: NonNullable<Guest['container']> = {
  template: 'busybox',
  system: { haltSignal: 'SIGUSR1' },
  idBase: 1_000_000,
  limits: { numproc: { limit: 50 } },
}

const NUMPROC: ContainerCounter = {
  ...{ resource: 'numproc', held: 3, maxHeld: 50, barrier: null, limit: 50, failures: 2, enforced: 'limit' },
}

const PACKETRATE: ContainerCounter = {
  ...{ resource: 'packetrate', held: 480, maxHeld: 500, barrier: null, limit: 500, failures: 9, enforced: 'limit' },
}

/** The container `ct` on h1, the virtual machine `vm` on h2, and `idle`, a container that does not run. */
async function start(context: TestContext, figures: readonly GuestFigures[] = []) {
  const cluster = new ClusterFixture(3)
  const settings = { kind: 'ct', container, memoryBytes: 64 * MIB, cpus: 1, boot: { kind: 'container' } } as const
  cluster.grant(cluster.guest('ct', settings), 'h1')
  cluster.grant(cluster.guest('vm', { memoryBytes: 128 * MIB }), 'h2')
  cluster.guest('idle', settings)
  const backend = await TestBackend.start(context, cluster)
  const { value: h2 } = cluster.state.hosts.get('h2' as never)!
  backend.counters = {
    of: async (host, guest) =>
      host === 'h1' && guest === 'guest-ct'
        ? ok([NUMPROC])
        : host === 'h2' && guest === 'guest-vm'
          ? ok([PACKETRATE])
          : fail(failure('conflict', 'not here')),
    figures: async (host) =>
      host === 'h3'
        ? fail(failure('host_unreachable', 'h3 did not answer within 1500 ms'))
        : ok({
            ...{ swapBytes: 1024 * MIB, processesMax: 1000 },
            guests: figures.filter(({ guest }) => guest === (host === 'h1' ? 'guest-ct' : 'guest-vm')),
          }),
  }
  return { backend, h2 }
}

const ofContainer: GuestFigures = {
  guest: 'guest-ct' as GuestId,
  held: { physpages: 1024, numproc: 3, swappages: 0 },
  failures: { numproc: 2, cpulimit: 900 },
  rates: { cpuPercent: 12.5, readBytesPerSecond: 10 },
}

test("a container's counters are asked of its host, and come with units and meanings", async (context) => {
  const { backend } = await start(context)
  const { guest, host, items } = await backend.must('guest.counters', { params: { guest: 'ct' } })
  assert.deepEqual([guest, host], ['ct', 'h1'])
  assert.deepEqual(items, [{ ...NUMPROC, unit: 'count', meaning: 'processes and threads' }])
})

test('what does not run has none, and a virtual machine only how many packets it sends', async (context) => {
  const { backend } = await start(context)
  const idle = await backend.refused('guest.counters', { params: { guest: 'idle' } })
  assert.deepEqual([idle.code, idle.message], ['conflict', 'idle does not run, so it holds nothing'])
  const vm = await backend.must('guest.counters', { params: { guest: 'vm' } })
  assert.deepEqual(
    vm.items.map(({ resource, failures, limit }) => ({ resource, failures, limit })),
    [{ resource: 'packetrate', failures: 9, limit: 500 }],
  )
})

test('what all guests use comes from all hosts, without those that are silent', async (context) => {
  const ofMachine: GuestFigures = { guest: 'guest-vm' as GuestId, held: { physpages: 2048 }, failures: {} }
  const { backend } = await start(context, [ofContainer, ofMachine])
  const { items, silent } = await backend.must('counter.list')
  assert.deepEqual(silent, ['h3'])
  const [ct, vm] = items.toSorted((a, b) => a.guest.localeCompare(b.guest))
  assert.deepEqual(
    [ct?.memoryHeldBytes, ct?.memoryLimitBytes, ct?.processes, ct?.processesMax, ct?.cpuPercent],
    [4 * MIB, 64 * MIB, 3, 50, 12.5],
  )
  // Periods in which a processor was used up are its limit at its ordinary work.
  assert.deepEqual(ct?.refused, { numproc: 2 })
  assert.deepEqual([vm?.memoryHeldBytes, vm?.memoryLimitBytes, vm?.processes], [8 * MIB, 128 * MIB, null])
})

test('a host has promised what the containers granted to it may take, beside its virtual machines', async (context) => {
  const { backend, h2 } = await start(context, [ofContainer])
  const { hosts, cluster, silent } = await backend.must('host.overcommit')
  assert.deepEqual([hosts.map(({ host }) => host), silent], [['h1', 'h2'], ['h3']])
  const row = (at: number, name: string) => hosts[at]?.rows.find(({ measure }) => measure === name)
  assert.deepEqual([row(0, 'memory')?.used, row(0, 'memory')?.allowed], [4 * MIB, 64 * MIB])
  assert.deepEqual([row(0, 'processes')?.promised, row(0, 'processes')?.capacity], [50, 1000])
  assert.equal(row(1, 'memory')?.capacity, h2.memoryBytes - 128 * MIB)
  assert.equal(cluster?.rows.find(({ measure }) => measure === 'processes')?.capacity, 2000)
  const one = await backend.must('host.overcommit', { query: { host: 'h2' } })
  assert.deepEqual([one.hosts.length, one.cluster, one.hosts[0]?.vmMemoryBytes], [1, null, 128 * MIB])
  assert.equal((await backend.refused('host.overcommit', { query: { host: 'h9' } })).code, 'not_found')
})
