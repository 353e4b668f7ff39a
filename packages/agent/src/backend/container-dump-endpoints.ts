/** Dumps of containers: where each is read, and what it says of the container. */
import type { ContainerDump } from '@stead/api/container-dump.ts'
import { failure, type Failure } from '@stead/core/errors.ts'
import { failedBackup, finishedBackup } from '@stead/core/host/backup-records.ts'
import {
  backupSubject,
  newBackupId,
  type Backup,
  type BackupFile,
  type BackupId,
  type DumpCompression,
  type DumpMode,
} from '@stead/core/model/backup.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import type { ContainerSettings } from '@stead/core/model/container.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { HostId, VolumeId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { projectOf } from '@stead/core/model/project.ts'
import { inSync, isActive, volumesOf } from '@stead/core/model/records.ts'
import type { Replica, Volume } from '@stead/core/model/volume.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { DumpedReplica, DumpOrder } from '../container/container-dumps.ts'
import type { ApiBackend } from '../http/backend.ts'
import { endRecord } from './end-record.ts'
import type { Change } from './change.ts'
import type { Desk } from './desk.ts'

interface Source {
  readonly host: HostId
  readonly mode: DumpMode
  /** Of the moment that its files show. */
  readonly wallMs: number
  readonly replicas?: readonly DumpedReplica[]
}

/** Of a dump that is being made; longer than the answer to it may take. */
const MAKING_MS = 30 * 60_000
const HOUR_MS = 3_600_000
const LOOK_MS = 1_000

/**
 * The backup's record comes first, so that it is judged by the quota and is seen; then the file is made, and the record
 * names it. A request that is sent again finds the record, and waits for what the first one makes of it.
 */
export function containerDumpEndpoints(desk: Desk): Pick<ApiBackend, 'guest.dump'> {
  const { clock, mirror } = desk.context
  return {
    'guest.dump': async ({ params, body }, request) => {
      let asked: Asked | undefined
      const operation = await desk.changeGuest(params.guest, request, ({ value, revision }) => {
        const made = askedFor(desk, value, body)
        if (!made.ok) return made
        asked = made.value
        return ok(askingChange(asked, revision))
      })
      if (!operation.ok) return operation
      const id = operation.value.subject.slice('backup/'.length) as BackupId
      if (asked?.backup.id === id) {
        const made = await dumpAndRecord(desk, asked, body)
        return made.ok ? ok(answer(made.value)) : made
      }
      const isMade = ({ backups }: ClusterState) => backups.get(id)?.value.file !== undefined
      while (mirror.state.backups.has(id) && !isMade(mirror.state) && !request.signal.aborted)
        await mirror.until((state) => !state.backups.has(id) || isMade(state), clock.sleep(LOOK_MS))
      const backup = mirror.state.backups.get(id)?.value
      if (backup?.file) return ok(answer({ ...backup, file: backup.file }))
      return fail(failure('conflict', `The dump ${id} has failed, or was deleted`, { hint: 'Ask for another' }))
    },
  }
}

type Made = Backup & { readonly file: BackupFile }

interface Asked {
  readonly guest: Guest & { readonly container: ContainerSettings }
  readonly source: Source
  readonly backup: Backup
}

function askedFor(
  desk: Desk,
  guest: Guest,
  { snapshot, compress }: { readonly snapshot?: string | undefined; readonly compress: DumpCompression },
): Result<Asked> {
  const { container } = guest
  if (!container) return fail(failure('bad_request', `${guest.name} is a virtual machine, no container`))
  if (guest.deleting) return fail(failure('conflict', `${guest.name} is being deleted`))
  const source = sourceOf(desk, guest, snapshot)
  if (!source.ok) return source
  const { host, mode } = source.value
  const nowMs = desk.context.clock.wallMs()
  const backup: Backup = {
    ...{ id: newBackupId(desk.state, guest.name, nowMs), guest: guest.id, guestName: guest.name, host, mode, compress },
    ...(guest.project === undefined ? {} : { project: guest.project }),
    createdAt: nowMs,
    expiresAt: nowMs + MAKING_MS,
  }
  return ok({ guest: { ...guest, container }, source: source.value, backup })
}

function askingChange({ guest, backup }: Asked, revision: bigint): Change {
  const key = KEYS.backup(backup.id)
  return {
    ...{ kind: 'ct.dump', subject: backupSubject(backup), project: projectOf(guest), events: [] },
    compares: [
      { key: KEYS.guest(guest.id), modRevision: revision },
      { key, modRevision: 0n },
    ],
    writes: [{ kind: 'put', key, value: JSON.stringify(backup) }],
  }
}

async function dumpAndRecord(
  desk: Desk,
  { guest, source, backup }: Asked,
  { keepHours }: { readonly keepHours: number },
): Promise<Result<Made>> {
  const { clock, dumpContainer } = desk.context
  const began = clock.monotonicMs()
  const { host, mode, replicas, wallMs } = source
  // Of what is stopped nobody compares what was read with what a run has written meanwhile.
  const grant = KEYS.grant(guest.id)
  const compares = mode === 'stop' ? [{ key: grant, modRevision: desk.state.grants.get(guest.id)?.revision ?? 0n }] : []
  const config = dumpConfig(desk.state, guest, mode, wallMs)
  const order: DumpOrder = {
    guest: guest.id,
    volumes: guest.volumes,
    config,
    compress: backup.compress,
    ...(replicas ? { replicas } : {}),
  }
  const dumped = await dumpContainer(host, order)
  const ending = {
    find: ({ backups }: ClusterState) => backups.get(backup.id),
    missing: () => failure('conflict', `The dump ${backup.id} was called off`),
  }
  const failed = async (error: Failure): Promise<Result<never>> => {
    await endRecord(desk, { ...ending, end: (seen) => failedBackup(desk.context, seen, error) })
    return fail(error)
  }
  if (!dumped.ok) return failed(dumped.error)
  const { blob, sizeBytes, pausedMs } = dumped.value
  const file = { blob, sizeBytes, tookMs: Math.round(clock.monotonicMs() - began), pausedMs }
  const expiresAt = clock.wallMs() + keepHours * HOUR_MS
  const end = (seen: Versioned<Backup>) => finishedBackup(desk.context, seen, file, expiresAt, compares)
  const ended = await endRecord(desk, { ...ending, end })
  if (ended.ok) return ok({ ...backup, file, expiresAt })
  const wasStarted = ended.error.code === 'changed_meanwhile' && mode === 'stop'
  return failed(wasStarted ? failure('conflict', `${guest.name} was started while it was being dumped`) : ended.error)
}

function answer({ id, mode, expiresAt, file }: Made) {
  return { backup: id, keptUntil: new Date(expiresAt).toISOString(), mode, ...file }
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
