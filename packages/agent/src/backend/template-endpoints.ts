/** Templates and clones, and the disks of guests that do not run as files. What is copied is copied by `copy-making.ts`. */
import { failure } from '@stead/core/errors.ts'
import { failedCopy } from '@stead/core/host/copy-records.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { copyingHost, copySubject, objectionToReading, type DiskCopy } from '@stead/core/model/disk-copy.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { projectOf } from '@stead/core/model/project.ts'
import { nativeRootOf, volumesOf } from '@stead/core/model/records.ts'
import type { ImageDisk, Volume } from '@stead/core/model/volume.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import { noSource } from '../images/copy-making.ts'
import type { Change } from './change.ts'
import { endRecord } from './end-record.ts'
import { planCreate, type CreateContext } from './create-plan.ts'
import { containerLike } from './container-settings.ts'
import type { Desk } from './desk.ts'
import { createChange } from './guest-endpoints.ts'
import { keepSeed } from './guest-media.ts'
import { nativeCloneChange } from './native-root-clone.ts'

type Answers = Pick<
  ApiBackend,
  'guest.template' | 'guest.clone' | 'guest.cancel-copy' | 'volume.capture' | 'volume.cancel-capture' | 'blob.get'
>

export function templateEndpoints(desk: Desk): Answers {
  const { self, clock, random, verdicts, blobs } = desk.context
  const creating = (): CreateContext => ({
    ...{ state: desk.state, self, verdicts: verdicts(), uuid: () => random.uuid(), wallMs: clock.wallMs() },
  })

  return {
    'guest.template': async ({ params }, request) => {
      const operation = await desk.changeGuest(params.guest, request, ({ value: guest, revision }) => {
        if (guest.template) return fail(failure('conflict', `${guest.name} is a template already`))
        const copy = copyRecord(desk, { purpose: 'template', name: guest.id }, guest)
        if (!copy.ok) return copy
        const change = copyChange('vm.template', copy.value)
        return ok({ ...change, compares: [...change.compares, { key: KEYS.guest(guest.id), modRevision: revision }] })
      })
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },

    'guest.clone': async ({ params, body }, request) => {
      const change = await desk.changeAdmitted(request, body.acceptBreach, async () => {
        const known = desk.findGuest(params.guest)
        if (!known.ok) return known
        const { value: source, revision } = known.value
        const root = source.template ? undefined : nativeRootOf(desk.state, source)
        if (root) {
          const like = likeness(desk.state, source, body)
          return nativeCloneChange({ ...creating(), ...systemLike(source) }, known.value, root, like)
        }
        const objection = source.template ? undefined : objectionToReading(desk.state, source)
        if (objection) return fail(objection)
        const context = {
          ...creating(),
          ...systemLike(source),
          ...(source.template ? ofTemplate(source, body.linked) : ofCopies(desk.state, source)),
        }
        const planned = planCreate(context, likeness(desk.state, source, body))
        if (!planned.ok) return planned
        const kept = await keepSeed(desk, planned.value.seed)
        if (!kept.ok) return kept
        const made = createChange(planned.value)
        const same = { key: KEYS.guest(source.id), modRevision: revision }
        if (source.template) return ok({ ...made, compares: [...made.compares, same] })
        const linked = body.linked ? { linked: true as const } : {}
        const copy = copyRecord(desk, { purpose: 'clone', name: planned.value.guest.id, ...linked }, source)
        if (!copy.ok) return copy
        const { compares, writes } = copyChange(made.kind, copy.value)
        return ok({ ...made, compares: [...made.compares, ...compares, same], writes: [...made.writes, ...writes] })
      })
      if (!change.ok) return change
      const { operation, warnings } = change.value
      const id = operation.subject.split('/')[1] ?? ''
      return ok({ guest: { id, name: body.name }, warnings, ...(await desk.started(operation)) })
    },

    'guest.cancel-copy': ({ params }) => {
      const guest = desk.findGuest(params.guest)
      if (!guest.ok) return Promise.resolve(guest)
      return cancelCopy(desk, guest.value.value.id, `No disks are being copied for ${guest.value.value.name}`)
    },

    'volume.capture': async ({ params }, request) => {
      const operation = await desk.change(request, () =>
        desk.loaded((state) => {
          const volume = state.volumes.get(params.volume as VolumeId)?.value
          if (!volume)
            return fail(
              failure('not_found', `There is no volume ${params.volume}`, { hint: 'See `stead volume list`' }),
            )
          const guest = state.guests.get(volume.guest)?.value
          const owner = guest?.volumes.includes(volume.id) ? guest : undefined
          const copy = copyRecord(desk, { purpose: 'file', name: volume.id }, owner, [volume])
          return copy.ok ? ok(copyChange('volume.capture', copy.value)) : copy
        }),
      )
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },

    'volume.cancel-capture': ({ params }) =>
      cancelCopy(desk, params.volume, `The volume ${params.volume} is not being copied`),

    'blob.get': async ({ params }) => {
      const path = await blobs.ensure(params.digest)
      if (!path.ok) return path
      const stream = await blobs.open(params.digest)
      return stream
        ? ok(stream as AsyncIterable<Uint8Array>)
        : fail(failure('not_found', `${params.digest} is not here`))
    },
  }
}

/** What the record of a copy says; `guest`: whose disks are read, which must not run. */
function copyRecord(
  desk: Desk,
  what: Pick<DiskCopy, 'purpose' | 'name' | 'linked'>,
  guest: Guest | undefined,
  wanted?: readonly Volume[],
): Result<DiskCopy> {
  const { state, context, isUp } = desk
  const objection = guest && objectionToReading(state, guest)
  if (objection) return fail(objection)
  if (state.copies.has(what.name))
    return fail(failure('conflict', 'Its disks are being copied already', { hint: 'See `stead operation list`' }))
  // A TPM's secrets are the guest's own.
  const volumes =
    wanted ?? ((guest && volumesOf(state, guest)) ?? []).map(({ value }) => value).filter(({ role }) => role !== 'tpm')
  const folder = volumes.find(({ form }) => form === 'subvolume')
  if (folder)
    return fail(
      failure('conflict', `${folder.name} is a subvolume, no disk that could be copied`, {
        hint: `Its files are in the folder \`subvolumes/${folder.id}\` of its pool on ${folder.replicas[0]?.host}`,
      }),
    )
  const unready = volumes.find(({ ready }) => !ready)
  if (unready) return fail(failure('conflict', `The disk ${unready.name} is still being made`, { hint: 'Wait for it' }))
  const ids = volumes.map(({ id }) => id)
  const lost = volumes.find(({ id }) => copyingHost(state, [id], isUp) === undefined)
  if (lost) return fail(noSource(lost))
  const host = copyingHost(state, ids, isUp, context.self) ?? context.self
  const of = guest?.id ?? volumes[0]?.guest
  if (of === undefined) return fail(failure('conflict', 'There is nothing to copy'))
  return ok({
    ...{ ...what, guest: of, volumes: ids, id: context.random.uuid(), host },
    ...{ begun: 0, progress: { step: 'waiting' }, files: [], createdAt: context.clock.wallMs() },
  })
}

function copyChange(kind: string, copy: DiskCopy): Change {
  const key = KEYS.diskCopy(copy.name)
  return {
    kind,
    subject: copySubject(copy),
    compares: [{ key, modRevision: 0n }],
    writes: [{ kind: 'put', key, value: JSON.stringify(copy) }],
    events: [],
  }
}

function cancelCopy(desk: Desk, name: string, missing: string): Promise<Result<void>> {
  const error = failure('conflict', 'the copy was called off', { hint: 'Ask again if it is wanted' })
  return endRecord(desk, {
    find: (state) => state.copies.get(name),
    end: (seen) => failedCopy(desk.context, seen, error),
    missing: () => failure('not_found', missing, { hint: 'It has ended; see `stead operation list`' }),
  })
}

/** The clone's disks start from the template's files. */
function ofTemplate(source: Guest, isLinked: boolean): Pick<CreateContext, 'contents' | 'firmware'> {
  const { disks = [], firmware } = source.template ?? {}
  const linked = isLinked ? { linked: true as const } : {}
  return {
    contents: disks.map(({ blob, format }) => ({ blob, format, ...linked })),
    ...firmwareLike(source, firmware),
  }
}

/** The clone's disks are filled once the others are copied. */
function ofCopies(state: ClusterState, source: Guest): Pick<CreateContext, 'contentsToCome' | 'firmware'> {
  const code = source.platform?.firmware?.code
  const variables = (volumesOf(state, source) ?? []).find(({ value }) => value.role === 'firmware')?.value
  const firmware = code && variables && { code, variables: { sizeBytes: variables.sizeBytes } }
  return { contentsToCome: true, ...(firmware ? { firmware } : {}) }
}

function systemLike({ container }: Guest) {
  return container ? { system: container.system } : {}
}

/** The firmware that the guest was made with, its variables as they are in the copy. */
function firmwareLike({ platform }: Guest, variables: ImageDisk | undefined): Pick<CreateContext, 'firmware'> {
  if (!platform?.firmware || !variables) return {}
  const { blob, format, virtualSizeBytes: sizeBytes } = variables
  return { firmware: { code: platform.firmware.code, variables: { blob, format, sizeBytes } } }
}

/** What a create would have to ask for to get a machine like this one. Addresses and CDs are not taken over. */
function likeness(
  state: ClusterState,
  source: Guest,
  body: {
    readonly name: string
    readonly project?: string | undefined
    readonly host?: string | undefined
    readonly start: boolean
    readonly acceptBreach: boolean
  },
): Parameters<typeof planCreate>[1] {
  const volumes = (volumesOf(state, source) ?? []).map(({ value }) => value).filter(({ role }) => role === undefined)
  const settings = source.media?.cloudInit?.settings
  // A static address would be there twice; a host name is the guest's own.
  const { network, hostname: _hostname, ...rest } = settings ?? {}
  const cloudInit = settings && { ...rest, ...(network?.kind === 'dhcp' ? { network } : {}) }
  return {
    name: body.name,
    project: body.project ?? projectOf(source),
    memoryBytes: source.memoryBytes,
    cpus: source.cpus,
    ...(source.cpusMax === undefined ? {} : { cpusMax: source.cpusMax }),
    ...(source.memoryMaxBytes === undefined ? {} : { memoryMaxBytes: source.memoryMaxBytes }),
    disks: volumes.map((volume) => ({
      sizeBytes: volume.sizeBytes,
      replicas: Math.min(3, Math.max(1, volume.replicas.length)) as 1 | 2 | 3,
      imageDisk: 0,
      linked: false,
    })),
    boot: source.boot.kind === 'kernel' ? source.boot : { kind: source.boot.kind },
    ...(source.container ? { container: containerLike(source.container) } : { platform: platformLike(source) }),
    start: body.start,
    nic: source.nics.length > 0,
    ...(source.display === undefined ? {} : { display: source.display }),
    ...(cloudInit ? { media: { cloudInit: structuredClone(cloudInit) as never } } : {}),
    ...(body.host === undefined ? {} : { host: body.host }),
    acceptBreach: body.acceptBreach,
  }
}

function platformLike({ platform = {} }: Guest): Parameters<typeof planCreate>[1]['platform'] {
  const { firmware, devices, ...rest } = platform
  const kind = firmware ? (firmware.secureBoot ? 'uefi-secure' : 'uefi') : 'bios'
  return { ...rest, firmware: kind, ...(devices ? { devices: { ...devices } } : {}) }
}
