/**
 * From a request to the records of a new guest: everything that can be refused is refused here, before anything is
 * written. Pure: the same for a dry run and for the create itself.
 */
import { createHash } from 'node:crypto'
import type { CreateGuest } from '@stead/api/endpoints/guests.ts'
import type { Seed } from '../cloud-init/seed.ts'
import { planMedia } from './guest-media.ts'
import { failure } from '@stead/core/errors.ts'
import type { Verdict } from '@stead/core/ha/coordinator.ts'
import { problemOf } from '@stead/core/ha/planning-problem.ts'
import { placeGuests } from '@stead/core/planning/place.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { ContainerSystem } from '@stead/core/model/container.ts'
import type { Decision } from '@stead/core/model/decision.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { GuestId, HostId, VolumeId } from '@stead/core/model/ids.ts'
import { defaultCpusMax } from '@stead/core/model/growth.ts'
import type { GuestPlatform, VolumeRole } from '@stead/core/model/platform.ts'
import { DEFAULT_PROJECT, projectExists } from '@stead/core/model/project.ts'
import { guestByName } from '@stead/core/model/records.ts'
import type { Volume, VolumeContent } from '@stead/core/model/volume.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { addressInUse, containerNic, newContainer } from './container-settings.ts'
import type { FirmwareFiles } from './firmware-files.ts'
import { sizeProblem } from './guest-size.ts'
import { contentOf, imageFor } from './image-content.ts'
import {
  hostsWithoutRoomFor,
  keptPolicy,
  nativeRootProblem,
  nativeRootWarning,
  withFirstCopy,
} from './native-root-plan.ts'
import { describeRoom, roomiestPool } from './pool-room.ts'

/** More than swtpm ever keeps of a TPM 2.0, twice. */
const TPM_STATE_BYTES = 1 << 20

export interface CreatePlan {
  readonly guest: Guest
  readonly volumes: readonly Volume[]
  readonly seed?: Seed
  readonly decision: Decision
  readonly host: HostId
  readonly warnings: readonly string[]
}

/** The variables are those of another guest, and are still being copied. */
export interface FirmwareToCome {
  readonly code: FirmwareFiles['code']
  readonly variables: { readonly sizeBytes: number }
}

export interface CreateContext {
  readonly state: ClusterState
  readonly self: HostId
  readonly verdicts: ReadonlyMap<HostId, Verdict>
  readonly uuid: () => string
  readonly wallMs: number
  /** Of a guest with UEFI. */
  readonly firmware?: FirmwareFiles | FirmwareToCome
  /** What each disk starts with, other than an image that the request names: of a clone. */
  readonly contents?: readonly VolumeContent[]
  /** Of a clone whose disks are still being copied: they are filled later. */
  readonly contentsToCome?: true
  /** Of a clone of a container. */
  readonly system?: ContainerSystem
}

export function planCreate(context: CreateContext, request: CreateGuest): Result<CreatePlan> {
  const { state, self, verdicts, uuid, wallMs } = context
  if (guestByName(state, request.name))
    return fail(
      failure('name_taken', `A guest named ${request.name} exists`, {
        hint: 'Choose another name, or delete that guest first',
      }),
    )
  if (request.project !== undefined && !projectExists(state, request.project))
    return fail(failure('not_found', `There is no project ${request.project}`, { hint: 'See `stead project list`' }))
  const hosts = [...state.hosts.values()].map((host) => host.value).toSorted((a, b) => a.order - b.order)
  if (request.host !== undefined && !hosts.some((host) => host.id === request.host))
    return fail(
      failure('not_found', `There is no host ${request.host}`, {
        hint: `The hosts are ${hosts.map((host) => host.id).join(', ')}`,
      }),
    )
  if (request.boot.kind === 'disk' && request.disks.length === 0 && !request.media?.cdrom)
    return fail(
      failure('bad_request', 'A guest that boots from disk needs a disk', {
        hint: 'Give --disk SIZE with --image NAME, --cdrom IMAGE, or --kernel FILE',
      }),
    )
  const id = uuid() as GuestId
  const isUsable = (host: HostId) =>
    state.statuses.get(host)?.value.state === 'online' && (host === self || verdicts.get(host) === 'heard')
  const desired = request.start || request.ha === 'started' ? 'running' : 'stopped'
  const ha = request.ha ?? (desired === 'running' ? 'started' : 'stopped')
  if (request.start && ha === 'stopped')
    return fail(failure('bad_request', '--start contradicts --ha stopped', { hint: 'Leave one of them out' }))
  if ((request.boot.kind === 'container') !== (request.container !== undefined))
    return fail(failure('bad_request', 'A guest boots from `container` when it has one, and only then'))
  const nic = request.container ? containerNic(request, macOf(id)) : { mac: macOf(id), network: 'lan' as const }
  const nics: Guest['nics'] = request.nic ? [nic] : []
  const used = addressInUse(state, id, nic.addresses)
  if (used) return fail(used)
  const planned = planMedia(state, { id, name: request.name, nics }, request.media ?? {})
  if (!planned.ok) return planned
  const { media, seed } = planned.value
  const volumeIds = wantedVolumes(context, request).map(() => uuid().replaceAll('-', '') as VolumeId)
  const container = request.container ? newContainer(state, request, volumeIds, context.system) : ok(undefined)
  if (!container.ok) return container
  const guest: Guest = {
    id,
    name: request.name,
    kind: container.value ? 'ct' : 'vm',
    ...(request.project === undefined || request.project === DEFAULT_PROJECT ? {} : { project: request.project }),
    ...(container.value ? { container: container.value } : {}),
    memoryBytes: request.memoryBytes,
    cpus: request.cpus,
    boot: bootOf(request.boot),
    volumes: volumeIds,
    nics,
    ...(request.display === undefined ? {} : { display: request.display }),
    ...(media ? { media } : {}),
    ha,
    desired,
    forceStop: false,
    ...platformOf(context, request),
    ...(request.container ? {} : maximaOf(request)),
    ...(request.processor === undefined ? {} : { processor: request.processor }),
    ...(request.host === undefined ? {} : { preferredHost: request.host as HostId }),
    ...(request.rootCopy ? { rootCopy: keptPolicy(request.rootCopy) } : {}),
    deleting: false,
    createdAt: wallMs,
  }
  const sized = sizeProblem(guest, request) ?? nativeRootProblem(request)
  if (sized) return fail(sized)
  const wanted = wantedVolumes(context, request)
  const placement = placeGuests(
    problemOf({
      ...{ state, isUp: isUsable, needing: new Set([id]), changed: new Map([[id, guest]]) },
      impossibleFor: new Map([[id, hostsWithoutRoomFor(state, wanted[0], request.rootCopy)]]),
    }),
  )
  const chosen = placement.places.get(id)
  const candidates = placement.explain(id)
  if (chosen === undefined) {
    const reasons = candidates.map((candidate) => `${candidate.host}: ${candidate.rejectedBecause}`).join('; ')
    return fail(
      failure('no_capacity', `No host can run ${request.name}: ${reasons}`, {
        hint: 'Ask for less memory, or free or add a host',
      }),
    )
  }
  if (request.host !== undefined && chosen !== request.host) {
    const reason = candidates.find((candidate) => candidate.host === request.host)?.rejectedBecause
    return fail(
      failure('no_capacity', `${request.host} cannot run ${request.name}: ${reason}`, {
        hint: 'Leave out --host to let the cluster choose',
      }),
    )
  }
  const placed = planVolumes(context, wanted, guest, chosen, isUsable)
  if (!placed.ok) return placed
  const volumes = withFirstCopy(state, placed.value, guest.rootCopy, isUsable, wallMs)
  if (!volumes.ok) return volumes
  const decision: Decision = {
    guest: guest.name,
    action: 'start',
    outcome: `placed on ${chosen}`,
    epoch: 0,
    decidedAt: wallMs,
    coordinator: self,
    facts: volumes.value.map(
      (volume) => `${volume.name} has its replicas on ${volume.replicas.map((replica) => replica.host).join(' and ')}`,
    ),
    candidates,
  }
  return ok({
    guest,
    volumes: volumes.value,
    ...(seed ? { seed } : {}),
    decision,
    host: chosen,
    warnings: warningsOf(request, volumes.value),
  })
}

function warningsOf(request: CreateGuest, volumes: readonly Volume[]): string[] {
  const single = volumes.filter((volume) => volume.replicas.length === 1)
  if (single.length === 0) return []
  if (request.container?.root === 'native') return [nativeRootWarning(request, single[0])]
  const asked = Math.max(...request.disks.map((disk) => disk.replicas))
  const why = asked > 1 ? `no second host could hold the other of ${asked} replicas` : 'only one replica was asked for'
  return [
    `${request.name} is unprotected: ${why}. If ${single[0]?.replicas[0]?.host} falls, it stands still until that host is back.`,
  ]
}

/** Where the replicas of new disks come to lie. */
export function planVolumes(
  context: CreateContext,
  wanted: ReturnType<typeof wantedVolumes>,
  guest: Pick<Guest, 'id' | 'volumes'>,
  home: HostId,
  isUsable: (host: HostId) => boolean,
): Result<Volume[]> {
  const { state, uuid } = context
  const promised = new Map<string, number>()
  const volumes: Volume[] = []
  for (const [index, disk] of wanted.entries()) {
    const image = disk.image === undefined ? undefined : imageFor(state, disk.image, disk.isRoot)
    if (disk.image !== undefined && !image)
      return fail(failure('not_found', `There is no image ${disk.image}`, { hint: 'See `stead image list`' }))
    if (image?.kind === 'iso')
      return fail(
        failure('bad_request', `${image.name} is a CD, not a disk image`, { hint: 'Give it with --cdrom instead' }),
      )
    // A dump of a container has disks after the root.
    if (image?.kind === 'root' && !disk.isRoot && !disk.imageDisk)
      return fail(
        failure('bad_request', `${image.name} is a template of containers, not a disk image`, {
          hint: 'A VM needs a disk that it can boot from; see `stead image list`',
        }),
      )
    const content = image ? contentOf(image, disk) : ok(undefined)
    if (!content.ok) return content
    const storage = [...state.hosts.values()]
      .map((host) => host.value)
      .filter((host) => host.role === 'compute')
      .toSorted((a, b) => a.order - b.order)
    if (storage.length < disk.replicas && storage.length > 1)
      return fail(
        failure(
          'no_capacity',
          `${disk.replicas} replicas need ${disk.replicas} hosts with storage, there are ${storage.length}`,
          { hint: 'Give --replicas with a smaller number' },
        ),
      )
    // A root that is a subvolume is where the container runs, or nowhere.
    const isPossible = (host: HostId) => isUsable(host) && (disk.form === undefined || host === home)
    // A cluster of one host has no second place for data; its guests are unprotected, and everything says so.
    const wanted = Math.min(disk.replicas, Math.max(1, storage.length))
    const fits = storage.flatMap((host) =>
      isPossible(host.id) ? roomiestPool(state, host, disk.pool, disk.sizeBytes, promised, disk.form) : [],
    )
    // What the machine keeps goes with the first disk: what takes that away takes away no more.
    const beside = new Set(disk.role === undefined ? [] : volumes[0]?.replicas.map(({ host }) => host))
    const chosen = fits
      .toSorted(
        (a, b) =>
          Number(b.replica.host === home) - Number(a.replica.host === home) ||
          Number(beside.has(b.replica.host)) - Number(beside.has(a.replica.host)) ||
          b.freeBytes - a.freeBytes,
      )
      .slice(0, wanted)
    if (chosen.length < wanted) {
      const why = storage
        .map(
          (host) =>
            `${host.id}: ${isUsable(host.id) ? describeRoom(state, host, disk.pool, disk.form) : 'it is not online'}`,
        )
        .join('; ')
      return fail(
        failure('no_capacity', `A disk of ${disk.sizeBytes} bytes with ${wanted} replicas finds no room (${why})`, {
          hint: 'Ask for a smaller disk or fewer replicas, or add storage',
        }),
      )
    }
    for (const { replica } of chosen) {
      const key = `${replica.host}/${replica.pool}`
      promised.set(key, (promised.get(key) ?? 0) + disk.sizeBytes)
    }
    const volume = guest.volumes[index]
    if (volume === undefined) continue
    volumes.push({
      id: volume,
      guest: guest.id,
      name: disk.name,
      ...(disk.role === undefined ? {} : { role: disk.role }),
      ...(disk.form === undefined ? {} : { form: disk.form }),
      sizeBytes: disk.sizeBytes,
      ready: false,
      ...(content.value ? { content: content.value } : {}),
      ...(disk.content ? { content: disk.content } : {}),
      ...(disk.awaitsContent ? { awaitsContent: true as const } : {}),
      replicas: chosen.map(({ replica }) => replica),
      syncPoint: `sp-${uuid().replaceAll('-', '').slice(0, 12)}`,
    })
  }
  return ok(volumes)
}

interface WantedVolume extends Omit<CreateGuest['disks'][number], 'image' | 'imageDisk' | 'linked'> {
  readonly name: string
  readonly role?: VolumeRole
  readonly form?: Volume['form']
  readonly image?: string | undefined
  readonly imageDisk?: number
  /** The image is a template of containers, by whose name its newest version is meant. */
  readonly isRoot?: boolean
  readonly linked?: boolean
  readonly content?: NonNullable<Volume['content']>
  readonly awaitsContent?: true
}

/** The disks, and after them what the machine itself keeps, which follows the guest in the same way. */
function wantedVolumes(
  { firmware, contents, contentsToCome }: CreateContext,
  { disks, platform, container }: CreateGuest,
): readonly WantedVolume[] {
  const replicas = disks[0]?.replicas ?? 2
  const pool = disks[0]?.pool
  const toCome = contentsToCome ? { awaitsContent: true as const } : {}
  const own = { replicas, ...(pool === undefined ? {} : { pool }) }
  return [
    ...disks.map((disk, index) => {
      const content = contents?.[index]
      const isRoot = container !== undefined && index === 0 && !content && !contentsToCome
      return {
        ...disk,
        name: `disk${index}`,
        ...toCome,
        ...(content ? { content } : {}),
        ...(isRoot ? { image: container.template, isRoot } : {}),
        ...(index === 0 && container?.root === 'native' ? { form: 'subvolume' as const } : {}),
      }
    }),
    ...(firmware
      ? [
          {
            ...own,
            name: 'firmware',
            role: 'firmware' as const,
            sizeBytes: firmware.variables.sizeBytes,
            ...toCome,
            ...('blob' in firmware.variables
              ? { content: { blob: firmware.variables.blob, format: firmware.variables.format ?? ('raw' as const) } }
              : {}),
          },
        ]
      : []),
    ...(platform?.tpm ? [{ ...own, name: 'tpm', role: 'tpm' as const, sizeBytes: TPM_STATE_BYTES }] : []),
  ]
}

function platformOf({ firmware }: CreateContext, { platform }: CreateGuest): Pick<Guest, 'platform'> {
  const { firmware: kind = 'bios', ...rest } = platform ?? {}
  const asked = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined && value !== false))
  const uefi = firmware && { kind: 'uefi' as const, secureBoot: kind === 'uefi-secure', code: firmware.code }
  const made: GuestPlatform = { ...asked, ...(uefi ? { firmware: uefi } : {}) }
  return Object.keys(made).length === 0 ? {} : { platform: made }
}

/** Places for more processors are free of charge; room for memory is not (docs/internals/hardware.md), so it is asked for. */
function maximaOf(request: CreateGuest): Pick<Guest, 'cpusMax' | 'memoryMaxBytes'> {
  const { cpus, memoryMaxBytes } = request
  const { dedicatedCpus = false } = request.platform ?? {}
  const cpusMax = request.cpusMax ?? defaultCpusMax({ cpus, platform: { dedicatedCpus } })
  return {
    ...(cpusMax === undefined ? {} : { cpusMax }),
    ...(memoryMaxBytes === undefined ? {} : { memoryMaxBytes }),
  }
}

function bootOf(boot: CreateGuest['boot']): Guest['boot'] {
  if (boot.kind !== 'kernel') return { kind: boot.kind }
  const { kernel, initrd, append } = boot
  return { kind: 'kernel', kernel, append, ...(initrd === undefined ? {} : { initrd }) }
}

/** A locally administered address that follows from the guest's id: the same wherever the guest runs. */
function macOf(id: GuestId): string {
  const bytes = createHash('sha256').update(id).digest()
  return ['52', '54', '00', ...[0, 1, 2].map((index) => (bytes[index] ?? 0).toString(16).padStart(2, '0'))].join(':')
}
