/** What a user's word about a guest's disks and network cards changes in the records. Pure. */
import { createHash } from 'node:crypto'
import type { AddDisk, AddNic, SetDisk, SetNic } from '@stead/api/endpoints/hardware.ts'
import { failure, type Failure } from '@stead/core/errors.ts'
import { eraseVolumeWrites, findDisk, joiningOf } from '@stead/core/host/volume-attachment.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import type { Guest, Nic } from '@stead/core/model/guest.ts'
import { DISK_SLOTS, NIC_SLOTS, diskSlot, freeSlot, nicSlot, type NicLimits } from '@stead/core/model/hardware.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { projectOf } from '@stead/core/model/project.ts'
import { isActive, volumesOf } from '@stead/core/model/records.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import type { Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { Change } from './change.ts'
import { withAddresses, type NicAddresses } from './container-settings.ts'
import { planVolumes, type CreateContext } from './create-plan.ts'

export function addDiskChange(
  context: CreateContext,
  known: Versioned<Guest>,
  body: AddDisk,
): Result<{ readonly change: Change; readonly warnings: readonly string[] }> {
  const { state } = context
  const { value: guest } = known
  const misplaced = mountProblem(guest, body.mountPath)
  if (misplaced) return fail(misplaced)
  const disks = slotsOf(state, known)
  if (!disks.ok) return disks
  const { taken, writes: slotWrites } = disks.value
  const slot = freeSlot(taken, DISK_SLOTS)
  if (slot === undefined)
    return fail(
      failure('conflict', `${guest.name} has ${DISK_SLOTS} disks already, and no place for more`, {
        hint: `Take one away first: \`stead vm disk remove ${guest.name} DISK\``,
      }),
    )
  const asked = 'volume' in body ? 1 : body.replicas
  const limited = 'limits' in body && body.limits ? limitsProblem(body.limits) : undefined
  if (limited) return fail(failure('bad_request', limited))
  const volume = 'volume' in body ? keptVolume(state, guest, body.volume, slot) : newVolume(context, guest, body, slot)
  if (!volume.ok) return volume
  const { value: added, revision } = volume.value
  const isSubvolume = [added.id, ...guest.volumes].some((id) => state.volumes.get(id)?.value.form === 'subvolume')
  if (isSubvolume) return fail(rootAlone(guest))
  const joinsNow = added.attachment === undefined
  const change: Change = {
    kind: 'vm.disk-add',
    subject: `volume/${added.id}`,
    compares: [
      { key: KEYS.guest(guest.id), modRevision: known.revision },
      { key: KEYS.volume(added.id), modRevision: revision },
    ],
    writes: [
      // Written also where it says the same: two disks that are added at a time must not get the same place.
      put(KEYS.guest(guest.id), {
        ...withMount(guest, added.id, body.mountPath),
        ...(joinsNow ? { volumes: [...guest.volumes, added.id] } : {}),
      }),
      put(KEYS.volume(added.id), added),
      ...slotWrites,
    ],
    events: [],
  }
  const single =
    added.replicas.length === 1
      ? [`The disk is unprotected: ${asked > 1 ? 'no second host could hold a copy' : 'it has only one replica'}`]
      : []
  return ok({ change, warnings: single })
}

function rootAlone({ name }: Guest): Failure {
  return failure('conflict', `${name}: a root that is a subvolume goes with no further disks`, {
    hint: 'Make the root larger (`stead volume resize`), or make a container with a root on a mirrored disk',
  })
}

function mountProblem({ name, container }: Guest, path: string | undefined): Failure | undefined {
  if (!container)
    return path === undefined
      ? undefined
      : failure('bad_request', `${name} is a virtual machine, which mounts its disks itself`)
  if (path === undefined)
    return failure('bad_request', `It must be said where ${name} has the disk mounted`, { hint: 'Give --mount /PATH' })
  const other = container.mounts?.some((mount) => mount.path === path)
  return other ? failure('conflict', `${name} has a disk on ${path} already`) : undefined
}

function withMount(guest: Guest, volume: VolumeId, path: string | undefined): Guest {
  const { container } = guest
  if (!container || path === undefined) return guest
  return { ...guest, container: { ...container, mounts: [...(container.mounts ?? []), { volume, path }] } }
}

function withoutMount(guest: Guest, volume: VolumeId): Guest {
  const { container } = guest
  if (!container?.mounts) return guest
  return { ...guest, container: { ...container, mounts: container.mounts.filter((mount) => mount.volume !== volume) } }
}

function newVolume(
  context: CreateContext,
  guest: Guest,
  body: Exclude<AddDisk, { volume: string }>,
  slot: number,
): Result<Versioned<Volume>> {
  const { limits, mountPath: _mountPath, ...disk } = body
  if (limits) {
    const problem = ownLimitsProblem(guest, limits)
    if (problem) return fail(problem)
  }
  const grant = context.state.grants.get(guest.id)?.value
  const home = isActive(grant) ? grant.host : (guest.preferredHost ?? context.self)
  const id = context.uuid().replaceAll('-', '') as VolumeId
  const isUsable = (host: typeof home) =>
    context.state.statuses.get(host)?.value.state === 'online' &&
    (host === context.self || context.verdicts.get(host) === 'heard')
  const planned = planVolumes(
    context,
    [{ ...disk, name: `disk${slot}` }],
    { id: guest.id, volumes: [id] },
    home,
    isUsable,
  )
  if (!planned.ok) return planned
  const [volume] = planned.value
  if (!volume) return fail(failure('internal', 'The disk was not planned'))
  const joining = {
    ...volume,
    name: `disk${slot}`,
    slot,
    attachment: 'joining' as const,
    ...(limits ? { limits } : {}),
  }
  return ok({ value: joining, revision: 0n })
}

function keptVolume(state: ClusterState, guest: Guest, id: string, slot: number): Result<Versioned<Volume>> {
  const known = state.volumes.get(id as VolumeId)
  if (!known) return fail(failure('not_found', `There is no volume ${id}`, { hint: 'See `stead volume list`' }))
  if (known.value.attachment !== 'detached')
    return fail(
      failure(
        'conflict',
        `The volume ${id} belongs to ${state.guests.get(known.value.guest)?.value.name ?? 'a guest'}`,
        {
          hint: `Take it away there first: \`stead vm disk remove\``,
        },
      ),
    )
  const { attachment: _detached, ...kept } = known.value
  return ok({ value: { ...kept, guest: guest.id, name: `disk${slot}`, slot }, revision: known.revision })
}

export function removeDiskChange(
  state: ClusterState,
  known: Versioned<Guest>,
  name: string,
  then: 'keep' | 'delete',
): Result<Change> {
  const { value: guest } = known
  const disk = diskOf(state, guest, name)
  if (!disk.ok) return disk
  const { value: volume, revision } = disk.value
  if (volume.role !== undefined)
    return fail(failure('conflict', `${volume.name} is part of the machine of ${guest.name}, not a disk`))
  if (guest.boot.kind !== 'kernel' && guest.volumes[0] === volume.id)
    return fail(failure('conflict', `${guest.name} boots from ${volume.name}`, { hint: 'Delete the guest instead' }))
  if (volume.attachment === 'joining')
    return fail(failure('conflict', `${volume.name} is still being made`, { hint: 'Wait until it is there' }))
  const disks = slotsOf(state, known)
  if (!disks.ok) return disks
  const attachment = then === 'delete' ? 'leaving-for-good' : 'leaving'
  const ownSlot = diskSlot(volume, guest.volumes.indexOf(volume.id))
  return ok({
    kind: 'vm.disk-remove',
    subject: `volume/${volume.id}`,
    compares: [
      { key: KEYS.guest(guest.id), modRevision: known.revision },
      { key: KEYS.volume(volume.id), modRevision: revision },
    ],
    writes: [
      ...disks.value.writes.filter((write) => write.kind !== 'put' || write.key !== KEYS.volume(volume.id)),
      put(KEYS.volume(volume.id), { ...volume, slot: ownSlot, attachment, project: projectOf(guest) }),
      ...(guest.container ? [put(KEYS.guest(guest.id), withoutMount(guest, volume.id))] : []),
    ],
    events: [],
  })
}

export function setDiskChange(
  state: ClusterState,
  known: Versioned<Guest>,
  name: string,
  { limits }: SetDisk,
): Result<Change> {
  const { value: guest } = known
  const disk = diskOf(state, guest, name)
  if (!disk.ok) return disk
  const { value: volume, revision } = disk.value
  const ofContainer = ownLimitsProblem(guest, limits)
  if (ofContainer) return fail(ofContainer)
  const limited = limitsProblem(limits)
  if (limited) return fail(failure('bad_request', limited))
  if (volume.role !== undefined)
    return fail(failure('conflict', `${volume.name} is part of the machine of ${guest.name}, not a disk`))
  const { limits: _old, ...rest } = volume
  const next = Object.keys(limits).length === 0 ? rest : { ...rest, limits }
  return ok({
    kind: 'vm.disk-set',
    subject: `volume/${volume.id}`,
    compares: [{ key: KEYS.volume(volume.id), modRevision: revision }],
    writes: [put(KEYS.volume(volume.id), next)],
    events: [],
  })
}

/** The disks of a container are limited as what they are to it: by its own limits, which hold at once. */
function ownLimitsProblem(guest: Guest, limits: SetDisk['limits']): Failure | undefined {
  if (guest.kind !== 'ct' || Object.keys(limits).length === 0) return undefined
  return failure('bad_request', `${guest.name} is a container, whose disks have no limits of their own`, {
    hint: `\`stead ct set ${guest.name} --limit iolimit=10M --limit iopslimit=500\` limits what it does to its root, at once`,
  })
}

function limitsProblem(limits: SetDisk['limits']): string | undefined {
  const { operationsPerSecond, bytesPerSecond, burstOperationsPerSecond, burstBytesPerSecond, burstSeconds } = limits
  for (const [burst, limit, what] of [
    [burstOperationsPerSecond, operationsPerSecond, 'operations'],
    [burstBytesPerSecond, bytesPerSecond, 'bytes'],
  ] as const)
    if (burst !== undefined && (limit === undefined || burst <= limit))
      return `A burst of ${what} needs a lower limit of ${what} that it exceeds`
  if (burstSeconds !== undefined && burstOperationsPerSecond === undefined && burstBytesPerSecond === undefined)
    return 'The length of a burst needs a burst'
  return undefined
}

export function deleteVolumeChange(state: ClusterState, id: string): Result<Change> {
  const known = state.volumes.get(id as VolumeId)
  if (!known) return fail(failure('not_found', `There is no volume ${id}`, { hint: 'See `stead volume list`' }))
  const { value: volume, revision } = known
  if (volume.attachment !== 'detached')
    return fail(
      failure('conflict', `The volume ${id} belongs to a guest`, {
        hint: 'Take it away first: `stead vm disk remove`',
      }),
    )
  return ok({
    kind: 'volume.delete',
    subject: `volume/${volume.id}`,
    compares: [{ key: KEYS.volume(volume.id), modRevision: revision }],
    writes: eraseVolumeWrites(volume),
    events: [],
  })
}

export function addNicChange(known: Versioned<Guest>, { mac, limits, ...given }: AddNic): Result<Change> {
  const { value: guest } = known
  const misaddressed = addressesProblem(guest, given)
  if (misaddressed) return fail(misaddressed)
  if (guest.deleting) return fail(failure('conflict', `${guest.name} is being deleted`))
  const nics = withSlots(guest)
  const slot = freeSlot(
    nics.map((nic) => nic.slot),
    NIC_SLOTS,
  )
  if (slot === undefined)
    return fail(
      failure('conflict', `${guest.name} has ${NIC_SLOTS} network cards already, and no place for more`, {
        hint: `Take one away first: \`stead vm nic remove ${guest.name} NUMBER\``,
      }),
    )
  const address = mac ?? macOf(guest, nics)
  if (nics.some((nic) => nic.mac === address))
    return fail(failure('conflict', `${guest.name} has a network card with the address ${address} already`))
  const nic = withAddresses({ mac: address, network: 'lan', slot, ...(limits ? { limits } : {}) }, given)
  return ok(guestChange('vm.nic-add', known, { ...guest, nics: [...nics, nic] }))
}

export function removeNicChange(known: Versioned<Guest>, slot: number): Result<Change> {
  const nics = withSlots(known.value)
  const left = nics.filter((nic) => nic.slot !== slot)
  if (left.length === nics.length) return fail(noSuchNic(known.value, slot))
  return ok(guestChange('vm.nic-remove', known, { ...known.value, nics: left }))
}

export function setNicChange(known: Versioned<Guest>, slot: number, { limits, ...given }: SetNic): Result<Change> {
  const nics = withSlots(known.value)
  if (!nics.some((nic) => nic.slot === slot)) return fail(noSuchNic(known.value, slot))
  const misaddressed = addressesProblem(known.value, given)
  if (misaddressed) return fail(misaddressed)
  const changed = nics.map((nic) => (nic.slot === slot ? withAddresses(withLimits(nic, limits), given) : nic))
  return ok(guestChange('vm.nic-set', known, { ...known.value, nics: changed }))
}

function withLimits(nic: Nic, limits: NicLimits | undefined): Nic {
  if (limits === undefined) return nic
  const { limits: _old, ...rest } = nic
  return Object.keys(limits).length === 0 ? rest : { ...rest, limits }
}

/** Whose they are already is looked at with every change that gives addresses (`address-turn.ts`). */
function addressesProblem(guest: Guest, { addresses, gateways }: NicAddresses): Failure | undefined {
  if (guest.container || (addresses ?? gateways) === undefined) return undefined
  return failure('bad_request', `${guest.name} is a virtual machine, which gives its cards addresses itself`, {
    hint: 'At its first start cloud-init can say which: `stead vm cloud-init`',
  })
}

function noSuchNic(guest: Guest, slot: number) {
  return failure('not_found', `${guest.name} has no network card ${slot}`, {
    hint: `See \`stead vm show ${guest.name}\``,
  })
}

function diskOf(state: ClusterState, guest: Guest, name: string): Result<Versioned<Volume>> {
  if (guest.deleting) return fail(failure('conflict', `${guest.name} is being deleted`))
  const disk = findDisk(state, guest, name)
  return disk
    ? ok(disk)
    : fail(failure('not_found', `${guest.name} has no disk ${name}`, { hint: `See \`stead vm show ${guest.name}\`` }))
}

/** The places that are taken. Disks that never had their number written get it now: positions are about to change. */
function slotsOf(
  state: ClusterState,
  { value: guest }: Versioned<Guest>,
): Result<{ readonly taken: readonly number[]; readonly writes: readonly Write[] }> {
  if (guest.deleting) return fail(failure('conflict', `${guest.name} is being deleted`))
  const known = volumesOf(state, guest)
  if (!known) return fail(failure('changed_meanwhile', `The disks of ${guest.name} are not known yet`))
  // The machine's own volumes (firmware, TPM) come after the disks and have no such number.
  const volumes = known.filter(({ value }) => value.role === undefined)
  const slots = volumes.map(({ value }, position) => diskSlot(value, position))
  const writes = volumes.flatMap(({ value }, position) =>
    value.slot === undefined ? [put(KEYS.volume(value.id), { ...value, slot: slots[position]! })] : [],
  )
  const joining = joiningOf(state, guest).flatMap(({ slot }) => slot ?? [])
  return ok({ taken: [...slots, ...joining], writes })
}

function withSlots(guest: Guest) {
  return guest.nics.map((nic, position) => ({ ...nic, slot: nicSlot(nic, position) }))
}

/** A locally administered address that follows from the guest's id and that none of its cards has. */
function macOf(guest: Guest, nics: readonly Nic[]): string {
  for (let number = nics.length; ; number++) {
    const bytes = createHash('sha256').update(`${guest.id} ${number}`).digest()
    const mac = ['52', '54', '00', ...[0, 1, 2].map((at) => (bytes[at] ?? 0).toString(16).padStart(2, '0'))].join(':')
    if (!nics.some((nic) => nic.mac === mac)) return mac
  }
}

function guestChange(kind: string, { value, revision }: Versioned<Guest>, next: Guest): Change {
  return {
    kind,
    subject: `guest/${value.id}`,
    compares: [{ key: KEYS.guest(value.id), modRevision: revision }],
    writes: [put(KEYS.guest(value.id), next)],
    events: [],
  }
}

function put(key: string, value: object): Write {
  return { kind: 'put', key, value: JSON.stringify(value) }
}
