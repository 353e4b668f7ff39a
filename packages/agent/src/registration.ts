/** How a host makes itself known to the cluster when its agent starts. */
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { ClusterSettings } from '@stead/core/model/cluster.ts'
import type { Host } from '@stead/core/model/host.ts'
import type { EventWriter } from '@stead/core/host/event-writer.ts'
import type { Clock, Random } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store } from '@stead/core/ports/store.ts'
import type { AgentConfig } from './config.ts'
import { readInventory } from './devices/host-inventory.ts'
import { canHoldSubvolumes } from './subvolumes/btrfs.ts'
import { readCertificate } from './trust/certificate-reading.ts'

const RETRY_MS = 200

export interface Registration {
  readonly config: AgentConfig
  readonly bootId: string
  /** Which this host shows, PEM. */
  readonly certificate: () => string
  /** Generation of the heartbeats' key that its guardian takes; undefined while that says nothing. */
  readonly heartbeatKey: () => number | undefined
  /** SHA-256 of the authorities that this host trusts; undefined while its parts do not agree. */
  readonly trusts: () => readonly string[] | undefined
  readonly accelerator: Host['accelerator']
  /** Looked at with each registration: what it says grows. */
  readonly containers: { readonly record: Host['containers'] }
  readonly qemuVersion: string | undefined
  readonly processor: Host['processor']
  /** Its power can be cut by a device that the agents reach. */
  readonly isSwitched: boolean
  readonly store: Store
  readonly events: EventWriter
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** Writes the host's record, and the cluster's settings when it is the first. Patient: the store may still be starting. */
export async function register(registration: Registration, signal: AbortSignal): Promise<void> {
  const { config, store, clock, log, events } = registration
  let complained = false
  while (!signal.aborted) {
    const settings = await ensureSettings(registration)
    const key = KEYS.host(config.hostId as HostId)
    const known = await store.get(key)
    if (settings && known.ok) {
      const value = JSON.stringify(hostRecord(registration))
      if (known.value?.value === value) return
      const outcome = await store.transact({
        compares: [{ key, modRevision: known.value?.modRevision ?? 0n }],
        writes: [{ kind: 'put', key, value }],
      })
      if (outcome.ok && outcome.value.committed) {
        if (!known.value)
          events.tell({
            kind: 'host.joined',
            subject: `host/${config.hostId}`,
            message: `${config.hostId} joined as ${config.role}`,
          })
        return
      }
    }
    if (!complained && !known.ok) log.warn('the store does not answer yet', { cause: known.error })
    complained = true
    await clock.sleep(RETRY_MS, signal)
  }
}

/** How often it is looked whether devices or huge pages have come or gone. */
const INVENTORY_MS = 30_000

/** Registers again whenever what the host has is not what its record says. */
export async function keepRegistered(registration: Registration, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await registration.clock.sleep(INVENTORY_MS, signal)
    if (!signal.aborted) await register(registration, signal)
  }
}

function hostRecord(registration: Registration): Host {
  const { config, bootId, accelerator, containers, qemuVersion, processor, isSwitched } = registration
  const [certificate, heartbeatKey] = [registration.certificate(), registration.heartbeatKey()]
  const trusts = registration.trusts()
  return {
    id: config.hostId as HostId,
    role: config.role,
    order: config.order,
    addresses: Object.fromEntries(Object.entries(config.addresses).filter(([, address]) => address !== undefined)),
    agentPort: config.agentPort,
    pools: config.pools.map((pool) => ({ ...pool, ...(canHoldSubvolumes(pool.path) ? { subvolumes: true } : {}) })),
    cpuCount: config.capacity.cpuCount,
    memoryBytes: config.capacity.memoryBytes,
    bootId,
    certificateSerial: readCertificate(certificate).serial,
    certificate,
    ...(heartbeatKey === undefined ? {} : { heartbeatKey }),
    ...(trusts === undefined ? {} : { trusts }),
    accelerator: config.role === 'witness' ? 'none' : accelerator,
    ...(config.role === 'compute' ? { ...readInventory('/'), storageGate: true } : {}),
    ...(containers.record ? { containers: containers.record } : {}),
    ...(qemuVersion === undefined ? {} : { qemuVersion }),
    ...(processor ? { processor } : {}),
    ...(isSwitched ? { powerSwitch: true } : {}),
  }
}

async function ensureSettings({ config, store, clock, random, events }: Registration): Promise<boolean> {
  const settings: ClusterSettings = {
    id: random.uuid(),
    name: config.clusterName,
    detectionMs: config.detectionMs,
    heartbeatIntervalMs: config.heartbeatIntervalMs,
    leaseTtlMs: config.leaseTtlMs,
    createdAt: clock.wallMs(),
  }
  const draft = {
    kind: 'cluster.created' as const,
    subject: 'cluster',
    message: `the cluster ${config.clusterName} is made by ${config.hostId}`,
  }
  const outcome = await store.transact({
    compares: [{ key: KEYS.settings, modRevision: 0n }],
    writes: [{ kind: 'put', key: KEYS.settings, value: JSON.stringify(settings) }, ...events.writesFor([draft])],
  })
  return outcome.ok
}
