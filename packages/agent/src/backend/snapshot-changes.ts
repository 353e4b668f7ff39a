/** What a user's word about a guest's snapshots changes in the records. */
import { failure } from '@stead/core/errors.ts'
import { whyNoMemory } from '@stead/core/ha/snapshot-schedule.ts'
import { hasMovingReplica } from '@stead/core/ha/storage-move.ts'
import { objectionOfHost } from '@stead/core/host/memory-resume.ts'
import { putSnapshot, snapshotsOf, snapshotSubject } from '@stead/core/host/snapshot-records.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import { recordDifferences } from '@stead/core/model/guest-machine.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { whyMemoryNotKept } from '@stead/core/model/platform.ts'
import { isActive, volumesOf } from '@stead/core/model/records.ts'
import {
  SNAPSHOTS_MAX,
  type Snapshot,
  type SnapshotConsistency,
  type SnapshotId,
  type SnapshotSchedule,
} from '@stead/core/model/snapshot.ts'
import type { Compare } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { Change } from './change.ts'

export function findSnapshot(state: ClusterState, guest: Guest, name: string): Result<Versioned<Snapshot>> {
  const found = state.snapshots.get(`${guest.id}/${name}`)
  if (found) return ok(found)
  const hint = `See \`stead vm snapshot list ${guest.name}\``
  return fail(failure('not_found', `${guest.name} has no snapshot ${name}`, { hint }))
}

export function createSnapshot(
  state: ClusterState,
  known: Versioned<Guest>,
  asked: {
    readonly name: string
    readonly wanted: SnapshotConsistency
    readonly memory?: boolean
    readonly uuid: string
    readonly nowMs: number
  },
): Result<Change> {
  const { value: guest } = known
  const objection = objectionToAny(state, guest) ?? (asked.memory ? objectionToMemory(state, guest) : undefined)
  if (objection) return objection
  const present = snapshotsOf(state, guest.id)
  if (present.some(({ value }) => value.name === asked.name))
    return fail(failure('name_taken', `${guest.name} has a snapshot ${asked.name} already`))
  if (present.length >= SNAPSHOTS_MAX)
    return fail(
      failure('conflict', `${guest.name} has ${present.length} snapshots, as many as it may`, {
        hint: `Delete one that is no longer needed: \`stead vm snapshot delete ${guest.name} NAME\``,
      }),
    )
  const snapshot: Snapshot = {
    id: asked.uuid.replaceAll('-', '') as SnapshotId,
    guest: guest.id,
    name: asked.name,
    createdAt: asked.nowMs,
    state: 'wanted',
    wanted: asked.wanted,
    consistent: 'crash',
    volumes: [],
    scheduled: false,
    ...(asked.memory ? { withMemory: true } : {}),
  }
  return ok({
    kind: 'vm.snapshot-create',
    subject: snapshotSubject(snapshot),
    compares: [unchanged(known), { key: KEYS.snapshot(guest.id, asked.name), modRevision: 0n }],
    writes: [putSnapshot(snapshot)],
    events: [],
  })
}

export function deleteSnapshot(
  { value: guest }: Versioned<Guest>,
  { value: snapshot, revision }: Versioned<Snapshot>,
): Result<Change> {
  if (snapshot.state === 'rolling-back')
    return fail(failure('conflict', `${guest.name} is just being rolled back to ${snapshot.name}`))
  if (guest.resumeFrom === snapshot.name)
    return fail(
      failure('conflict', `${guest.name} has not been started since it was rolled back: the memory is still needed`, {
        hint: `Start it, or \`stead vm snapshot rollback ${guest.name} ${snapshot.name} --without-memory\``,
      }),
    )
  const key = KEYS.snapshot(guest.id, snapshot.name)
  return ok({
    kind: 'vm.snapshot-delete',
    subject: snapshotSubject(snapshot),
    compares: [{ key, modRevision: revision }],
    writes: [{ kind: 'delete', key }],
    events: [
      {
        kind: 'snapshot.deleted',
        subject: `guest/${guest.name}`,
        message: `the snapshot ${snapshot.name} of ${guest.name} is deleted`,
        details: { snapshot: snapshot.name },
      },
    ],
  })
}

export function rollBackTo(
  state: ClusterState,
  known: Versioned<Guest>,
  { value: snapshot, revision }: Versioned<Snapshot>,
  asked: { readonly start?: boolean | undefined; readonly deleteNewer: boolean; readonly withoutMemory?: boolean },
  isUp: (host: HostId) => boolean,
): Result<Change> {
  const { value: guest } = known
  const objection = objectionToAny(state, guest)
  if (objection) return objection
  if (snapshot.state !== 'ready')
    return fail(
      failure('conflict', `The snapshot ${snapshot.name} is ${snapshot.state}`, { hint: 'Wait until it is ready' }),
    )
  const newer = snapshotsOf(state, guest.id).filter(
    ({ value }) => value.createdAt > snapshot.createdAt && value.id !== snapshot.id,
  )
  if (newer.length > 0 && !asked.deleteNewer) {
    const names = newer.map(({ value }) => value.name).join(', ')
    return fail(
      failure('conflict', `Newer snapshots do not survive a roll-back: ${names}`, {
        hint: '`--delete-newer` deletes them',
      }),
    )
  }
  for (const { value: volume } of volumesOf(state, guest) ?? []) {
    const held = snapshot.volumes.find((each) => each.volume === volume.id)
    // A disk that was added since then keeps what it holds.
    if (!held) continue
    if (!held.hosts.some(isUp))
      return fail(
        failure('waits_for_host', `No host that holds ${snapshot.name} is up`, {
          hint: `Bring ${held.hosts.join(' or ')} back`,
        }),
      )
  }
  const unfit = asked.withoutMemory ? undefined : objectionToResuming(state, guest, snapshot, isUp)
  if (unfit !== undefined)
    return fail(
      failure('conflict', `The memory in ${snapshot.name} cannot be brought back: ${unfit}`, {
        hint: '`--without-memory` boots the guest from its disks',
      }),
    )
  const runs = guest.desired === 'running' || isActive(state.grants.get(guest.id)?.value)
  const startAfter = asked.start ?? guest.desired === 'running'
  const stopped: Guest = {
    ...guest,
    desired: 'stopped',
    // What it would still write when it shuts down is given up anyway.
    forceStop: true,
    ha: guest.ha === 'ignored' ? 'ignored' : 'stopped',
  }
  const key = KEYS.snapshot(guest.id, snapshot.name)
  return ok({
    kind: 'vm.snapshot-rollback',
    subject: snapshotSubject(snapshot),
    compares: [unchanged(known), { key, modRevision: revision }],
    writes: [
      putSnapshot({
        ...snapshot,
        ...{ state: 'rolling-back', startAfter },
        ...(snapshot.memory && asked.withoutMemory ? { withoutMemory: true } : {}),
      }),
      ...(runs ? [{ kind: 'put', key: KEYS.guest(guest.id), value: JSON.stringify(stopped) } as const] : []),
    ],
    events: [],
  })
}

export function setSchedule(
  known: Versioned<Guest>,
  schedule: Omit<SnapshotSchedule, 'lastAt'> | null,
): Result<Change> {
  const objection = schedule?.memory === true ? objectionToMemorySchedule(known.value) : undefined
  if (objection) return objection
  const { snapshotSchedule: old, ...rest } = known.value
  const lastAt = old?.lastAt === undefined ? {} : { lastAt: old.lastAt }
  const next: Guest = schedule ? { ...rest, snapshotSchedule: { ...schedule, ...lastAt } } : rest
  return ok({
    kind: 'vm.set',
    subject: `guest/${known.value.id}`,
    compares: [unchanged(known)],
    writes: [{ kind: 'put', key: KEYS.guest(known.value.id), value: JSON.stringify(next) }],
    events: [],
  })
}

function objectionToAny(state: ClusterState, guest: Guest): Result<never> | undefined {
  if (guest.deleting) return fail(failure('conflict', `${guest.name} is being deleted`))
  if (guest.volumes.length === 0) return fail(failure('conflict', `${guest.name} has no disk`))
  if (hasMovingReplica(state, guest))
    return fail(
      failure('conflict', `A replica of a disk of ${guest.name} is being moved`, {
        hint: 'Wait until it has moved: `stead volume list`',
      }),
    )
  const busy = snapshotsOf(state, guest.id).find(({ value }) => value.state === 'rolling-back')
  return busy && fail(failure('conflict', `${guest.name} is just being rolled back to ${busy.value.name}`))
}

/** Whatever the guest does now: one that does not run has no snapshots taken by its schedule. */
export function objectionToMemorySchedule(guest: Guest): Result<never> | undefined {
  const why = guest.kind === 'ct' ? 'it is a container' : whyMemoryNotKept(guest.platform ?? {})
  if (why === '') return undefined
  return fail(
    failure('conflict', `The memory of ${guest.name} cannot be kept: ${why}`, { hint: 'Schedule it without --memory' }),
  )
}

function objectionToMemory(state: ClusterState, guest: Guest): Result<never> | undefined {
  const why = whyNoMemory(state, guest)
  const hint = 'Take it without --memory'
  return why === ''
    ? undefined
    : fail(failure('conflict', `The memory of ${guest.name} cannot be kept: ${why}`, { hint }))
}

/** Before anything is stopped: why the guest could not go on where it was. */
function objectionToResuming(
  state: ClusterState,
  guest: Guest,
  { memory }: Snapshot,
  isUp: (host: HostId) => boolean,
): string | undefined {
  if (!memory) return undefined
  const volumes = (volumesOf(state, guest) ?? []).map(({ value }) => value)
  const differences = recordDifferences(memory.launch, guest, volumes)
  if (differences.length > 0) return `its hardware has changed since (${differences.join(', ')})`
  if (!memory.hosts.some(isUp)) return `no host that has it is up (${memory.hosts.join(', ')})`
  const compute = [...state.hosts.values()].filter(({ value }) => value.role === 'compute' && isUp(value.id))
  const objections = compute.map(({ value }) => objectionOfHost(state, memory, value.id))
  return objections.includes(undefined) ? undefined : objections.join('; ')
}

function unchanged({ value, revision }: Versioned<Guest>): Compare {
  return { key: KEYS.guest(value.id), modRevision: revision }
}
