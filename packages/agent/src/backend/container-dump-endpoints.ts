/** Dumps of containers: where each is read, and what it says of the container. */
import type { ContainerDump, DumpMode } from '@stead/api/container-dump.ts'
import { failure } from '@stead/core/errors.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { ContainerSettings } from '@stead/core/model/container.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { HostId, VolumeId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { inSync, isActive, volumesOf } from '@stead/core/model/records.ts'
import type { Replica, Volume } from '@stead/core/model/volume.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { DumpedReplica, DumpOrder } from '../container/container-dumps.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Desk } from './desk.ts'

interface Source {
  readonly host: HostId
  readonly mode: DumpMode
  /** Of the moment that its files show. */
  readonly wallMs: number
  readonly replicas?: readonly DumpedReplica[]
}

export function containerDumpEndpoints(desk: Desk): Pick<ApiBackend, 'guest.dump'> {
  const { clock, events, dumpContainer, store } = desk.context
  return {
    'guest.dump': async ({ params, body }) => {
      const known = desk.findGuest(params.guest)
      if (!known.ok) return known
      const guest = known.value.value
      const { container } = guest
      if (!container) return fail(failure('bad_request', `${guest.name} is a virtual machine, no container`))
      if (guest.deleting) return fail(failure('conflict', `${guest.name} is being deleted`))
      const source = sourceOf(desk, guest, body.snapshot)
      if (!source.ok) return source
      const { host, mode, replicas, wallMs } = source.value
      const run = desk.state.grants.get(guest.id)?.revision ?? 0n
      const config = dumpConfig(desk.state, { ...guest, container }, mode, wallMs)
      const began = clock.monotonicMs()
      const what = { guest: guest.id, volumes: guest.volumes, config, compress: body.compress }
      const order: DumpOrder = { ...what, ...(replicas ? { replicas } : {}) }
      const dumped = await dumpContainer(host, order)
      if (!dumped.ok) return dumped
      if (mode === 'stop') {
        // Nobody compares what was read with what a run has written meanwhile.
        const now = await store.get(KEYS.grant(guest.id))
        if (!now.ok) return now
        if ((now.value?.modRevision ?? 0n) !== run)
          return fail(failure('conflict', `${guest.name} was started while it was being dumped`))
      }
      const tookMs = Math.round(clock.monotonicMs() - began)
      const { blob, sizeBytes, pausedMs } = dumped.value
      events.tell({
        kind: 'guest.dumped',
        subject: `guest/${guest.name}`,
        message: `${guest.name} was dumped (${mode}): ${sizeBytes} bytes in ${tookMs} ms`,
        details: { mode, sizeBytes, tookMs, pausedMs },
      })
      return ok({ blob, sizeBytes, mode, tookMs, pausedMs })
    },
  }
}

function sourceOf(desk: Desk, guest: Guest, snapshotName: string | undefined): Result<Source> {
  const { state } = desk
  const volumes = (volumesOf(state, guest) ?? []).map(({ value }) => value)
  if (volumes.length === 0) return fail(failure('conflict', `${guest.name} has no root yet`))
  const wallMs = desk.context.clock.wallMs()
  const grant = state.grants.get(guest.id)?.value
  if (snapshotName === undefined && isActive(grant)) return ok({ host: grant.host, mode: 'suspend', wallMs })
  if (snapshotName === undefined) {
    if (guest.desired === 'running') return fail(failure('conflict', `${guest.name} is about to be started`))
    const held = oneThatHasAll(desk, guest, volumes, inSync)
    return held.ok ? ok({ ...held.value, mode: 'stop', wallMs }) : held
  }
  const snapshot = [...state.snapshots.values()].find(
    ({ value }) => value.guest === guest.id && value.name === snapshotName,
  )?.value
  if (!snapshot) return fail(failure('not_found', `${guest.name} has no snapshot ${snapshotName}`))
  if (snapshot.state !== 'ready')
    return fail(failure('conflict', `The snapshot ${snapshotName} is ${snapshot.state}`, { hint: 'Wait for it' }))
  const hostsOf = (id: VolumeId) => snapshot.volumes.find(({ volume }) => volume === id)?.hosts ?? []
  const held = oneThatHasAll(desk, guest, volumes, ({ id, replicas }) =>
    replicas.filter(({ host }) => hostsOf(id).includes(host)),
  )
  if (!held.ok) return held
  const replicas = held.value.replicas.map((replica) => ({ ...replica, snapshot: snapshot.id }))
  return ok({ host: held.value.host, mode: 'snapshot', wallMs: snapshot.createdAt, replicas })
}

/** Where all its disks can be read; this host, if it is one: the file is fetched here in the end. */
function oneThatHasAll(
  { state, isUp, context: { self } }: Desk,
  { name }: Guest,
  volumes: readonly Volume[],
  copiesOf: (volume: Volume) => readonly Replica[],
): Result<{ readonly host: HostId; readonly replicas: readonly DumpedReplica[] }> {
  const hosts = [...state.hosts.keys()].toSorted((a, b) => Number(b === self) - Number(a === self))
  const copyOn = (volume: Volume, host: HostId) => copiesOf(volume).find((replica) => replica.host === host)
  const isWholeOn = (host: HostId) => volumes.every((volume) => copyOn(volume, host) !== undefined)
  const host = hosts.find((each) => isUp(each) && isWholeOn(each))
  if (host !== undefined)
    return ok({ host, replicas: volumes.map((volume) => ({ volume: volume.id, pool: copyOn(volume, host)!.pool })) })
  const down = hosts.filter(isWholeOn)
  if (down.length > 0)
    return fail(
      failure('waits_for_host', `No host that is up has a current copy of ${name}`, {
        hint: `Bring ${down.join(' or ')} back`,
      }),
    )
  const places = volumes.map(
    (volume) =>
      `${volume.name} on ${copiesOf(volume)
        .map((copy) => copy.host)
        .join(' and ')}`,
  )
  return fail(
    failure('conflict', `No host has a current copy of every disk of ${name}: ${places.join(', ')}`, {
      hint: '`--mode suspend` reads it where it runs; `stead volume move` brings its disks together',
    }),
  )
}

/** What `ct restore` makes it again from. */
function dumpConfig(
  state: ClusterState,
  guest: Guest & { readonly container: ContainerSettings },
  mode: DumpMode,
  wallMs: number,
): ContainerDump {
  const { container, ha, priority, maxRestart, maxRelocate, failback, lifecycle = {} } = guest
  const { template, system, hostname, nameservers = [], searchDomains = [], mounts = [], limits = {} } = container
  const { autostart, protectedFrom, tags, notes } = lifecycle
  const paths = new Map(mounts.map(({ volume, path }) => [volume, path]))
  // Whether it is kept started is said anew by whoever restores it, and a stop for its dump is no wish of his.
  const isIgnored = ha === 'ignored' ? ha : undefined
  const settings = { ha: isIgnored, priority, maxRestart, maxRelocate, failback, autostart, protectedFrom, tags, notes }
  return {
    ...{ version: 1, name: guest.name, dumpedAt: new Date(wallMs).toISOString(), mode },
    ...{ memoryBytes: guest.memoryBytes, cpus: guest.cpus, template },
    system: { ...system },
    ...(hostname === undefined ? {} : { hostname }),
    nameservers: [...nameservers],
    searchDomains: [...searchDomains],
    ...{ privileged: container.privileged ?? false, nesting: container.nesting ?? false },
    limits: { ...limits },
    nics: guest.nics.map(({ mac, addresses = [], gateways = [] }) => ({
      mac,
      addresses: [...addresses],
      gateways: [...gateways],
    })),
    disks: (volumesOf(state, guest) ?? []).map(({ value: { id, sizeBytes, replicas } }) => {
      const path = paths.get(id)
      const isFurther = id !== guest.volumes[0]
      return {
        ...{ sizeBytes, replicas: replicas.length },
        ...(path === undefined ? {} : { path }),
        ...(isFurther ? { dumped: true as const } : {}),
      }
    }),
    settings: Object.fromEntries(
      Object.entries(settings).filter(([, value]) => value !== undefined),
    ) as ContainerDump['settings'],
  }
}
