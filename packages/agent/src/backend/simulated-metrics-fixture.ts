/** A simulated cluster that is measured, as if it had been so for an hour: its charts have something to show. */
import { SAMPLE_MS } from '@stead/core/metrics/resolution.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import { failure } from '@stead/core/errors.ts'
import { fail } from '@stead/core/result.ts'
import { MemoryHostMeters } from '@stead/sim/memory-host-meters.ts'
import { ClusterMetrics, metricCalls } from '../metrics/cluster-metrics.ts'
import { HostMetrics } from '../metrics/host-metrics.ts'
import { MetricsDatabase } from '../metrics/metrics-database.ts'
import type { EndsLater } from './backend-fixture.ts'
import type { SimulatedCluster } from './simulated-cluster-fixture.ts'

const MEASURED_MS = 3_600_000
/** Long enough before that no counter is at its beginning. */
const UP_MS = 10 * MEASURED_MS

export async function measureSimulatedCluster(
  context: EndsLater,
  { world, backend }: Pick<SimulatedCluster, 'world' | 'backend'>,
): Promise<void> {
  const began = Date.now() - UP_MS
  let nowMs = Date.now() - MEASURED_MS
  const clock = { wallMs: () => nowMs, monotonicMs: () => nowMs - began } as Clock
  const hosts = new Map<HostId, HostMetrics>()
  for (const { id } of world.hosts) {
    const database = new MetricsDatabase(':memory:')
    context.after(() => database.close())
    const guests = {
      get processes() {
        return world.host(id).machine.processes
      },
    }
    hosts.set(
      id,
      new HostMetrics({
        ...{ self: id, database, clock, log: backend.log, mirror: backend.mirror },
        meters: new MemoryHostMeters({
          guests,
          pools: backend.mirror.state.hosts.get(id)?.value.pools.map(({ name }) => name) ?? [],
          poolOf: (volume) =>
            backend.mirror.state.volumes.get(volume)?.value.replicas.find(({ host }) => host === id)?.pool,
          monotonicMs: () => nowMs - began,
        }),
        causes: async () => ({ guests: [], others: 0 }),
        tell: () => {},
      }),
    )
  }
  const look = async () => {
    for (const [id, metrics] of hosts) if (world.host(id).isOn) await metrics.look()
  }
  const self = 'h1' as HostId
  backend.metrics = new ClusterMetrics({
    self,
    own: hosts.get(self)!,
    state: () => backend.mirror.state,
    call: async (host, name, input) =>
      world.host(host).isOn
        ? metricCalls(hosts.get(host)!)[name]!(input)
        : fail(failure('host_unreachable', `${host} does not answer`)),
  })
  for (; nowMs < Date.now(); nowMs += SAMPLE_MS) await look()
  const timer = setInterval(() => {
    nowMs = Date.now()
    void look()
  }, SAMPLE_MS)
  context.after(() => clearInterval(timer))
}
