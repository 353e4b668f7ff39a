/** What measures this host, joined: the meters, the database of figures, its networks, and the way to what other hosts know of theirs. */
import { join } from 'node:path'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { EventWriter } from '@stead/core/host/event-writer.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { Fence } from '@stead/core/ports/fence.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store } from '@stead/core/ports/store.ts'
import type { AskedHostsOptions } from '../asked-hosts.ts'
import type { AgentConfig } from '../config.ts'
import type { HostGuests } from '../guests.ts'
import { NetworkMeter } from '../metering/network-meter.ts'
import { ClusterNetworks, HostNetworks, networkCalls } from '../network/host-networks.ts'
import type { Peers } from '../peers.ts'
import { ClusterMetrics, metricCalls } from './cluster-metrics.ts'
import { HostMetrics } from './host-metrics.ts'
import { LinuxHostMeters } from './linux-host-meters.ts'
import { MetricsDatabase } from './metrics-database.ts'

export interface MeasuringOptions {
  readonly config: AgentConfig
  readonly guests: Pick<HostGuests, 'counters' | 'vms'>
  readonly mirror: ClusterMirror
  readonly events: EventWriter
  readonly store: Store
  readonly peers: Peers
  readonly fence: Pick<Fence, 'view'>
  readonly clock: Clock
  readonly log: Log
}

export interface Measuring {
  readonly cluster: ClusterMetrics
  readonly networks: ClusterNetworks
  /** What other hosts may ask. */
  readonly calls: ReturnType<typeof metricCalls> & ReturnType<typeof networkCalls>
  /** For as long as the agent lives. */
  keep(signal: AbortSignal): Promise<void>
  close(): void
}

export function measuring(options: MeasuringOptions): Measuring {
  const { config, guests, store, mirror, events, peers, fence, clock, log } = options
  const self = config.hostId as HostId
  const database = new MetricsDatabase(join(config.stateDir, 'metrics.sqlite'))
  const network = new NetworkMeter({ self, store, mirror, clock })
  const own: HostMetrics = new HostMetrics({
    self,
    database,
    meters: new LinuxHostMeters({
      pools: config.pools,
      addresses: Object.values(config.addresses).filter((address) => address !== undefined),
      usage: () => guests.counters.usage(),
      diskReadings: (guest) => guests.vms.processes.with(guest, ({ devices }) => devices.diskReadings()),
      clock,
    }),
    mirror,
    measured: (measure) => network.add(measure),
    causes: (pool) => cluster.causes(self, pool),
    tell: (...drafts) => events.tell(...drafts),
    clock,
    log,
  })
  const state = () => mirror.state
  const asked: AskedHostsOptions = {
    ...{ self, state },
    call: (host, name, input, timeoutMs) => peers.client(host).callGuest(name, input, timeoutMs),
  }
  const cluster = new ClusterMetrics({ ...asked, own })
  const networks = new HostNetworks({ self, state, heartbeats: () => fence.view() })
  return {
    cluster,
    networks: new ClusterNetworks(asked, networks),
    calls: { ...metricCalls(own), ...networkCalls(networks) },
    keep: (signal) => own.keep(signal).then(() => network.write()),
    close: () => database.close(),
  }
}
