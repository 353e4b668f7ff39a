/** Templates and clones, and the disks of stopped guests as files. */
import { failure } from '@stead/core/errors.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { projectOf } from '@stead/core/model/project.ts'
import { inSync, isActive, volumesOf } from '@stead/core/model/records.ts'
import type { GuestTemplate } from '@stead/core/model/template.ts'
import type { ImageDisk, Volume } from '@stead/core/model/volume.ts'
import type { Compare } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import { planCreate } from './create-plan.ts'
import { containerLike } from './container-settings.ts'
import type { Desk } from './desk.ts'
import type { FirmwareFiles } from './firmware-files.ts'
import { createChange } from './guest-endpoints.ts'
import { keepSeed } from './guest-media.ts'

type Answers = Pick<ApiBackend, 'guest.template' | 'guest.clone' | 'volume.capture' | 'blob.get'>

export function templateEndpoints(desk: Desk): Answers {
  const { self, clock, random, verdicts, blobs } = desk.context

  return {
    'guest.template': async ({ params }, request) => {
      const known = desk.findGuest(params.guest)
      if (!known.ok) return known
      if (request.once?.earlier) return ok(await desk.started(request.once.earlier))
      if (known.value.value.template)
        return fail(failure('conflict', `${known.value.value.name} is a template already`))
      const captured = await captureAll(desk, known.value.value)
      if (!captured.ok) return captured
      const { disks, firmware, compares } = captured.value
      const operation = await desk.changeGuest(params.guest, request, ({ value: guest, revision }) => {
        if (guest.deleting) return fail(failure('conflict', `${guest.name} is being deleted`))
        const next: Guest = {
          ...guest,
          desired: 'stopped',
          ha: 'stopped',
          template: { disks, ...(firmware ? { firmware } : {}) },
        }
        return ok({
          kind: 'vm.set',
          subject: `guest/${guest.id}`,
          compares: [{ key: KEYS.guest(guest.id), modRevision: revision }, ...compares],
          writes: [{ kind: 'put', key: KEYS.guest(guest.id), value: JSON.stringify(next) }],
          events: [],
        })
      })
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },

    'guest.clone': async ({ params, body }, request) => {
      const known = desk.findGuest(params.guest)
      if (!known.ok) return known
      const source = known.value.value
      const captured = source.template ? ok({ ...source.template, compares: [] }) : await captureAll(desk, source)
      if (!captured.ok) return captured
      const { disks, firmware, compares } = captured.value
      const plan = () =>
        desk.loaded((state) => {
          const context = { state, self, verdicts: verdicts(), uuid: () => random.uuid(), wallMs: clock.wallMs() }
          const contents = disks.map(({ blob, format }) => ({
            blob,
            format,
            ...(body.linked ? { linked: true as const } : {}),
          }))
          return planCreate(
            { ...context, ...firmwareLike(source, firmware), ...systemLike(source), contents },
            likeness(state, source, body),
          )
        })
      const change = await desk.changeAdmitted(request, body.acceptBreach, async () => {
        const planned = plan()
        if (!planned.ok) return planned
        const kept = await keepSeed(desk, planned.value.seed)
        if (!kept.ok) return kept
        const made = createChange(planned.value)
        return ok({ ...made, compares: [...made.compares, ...compares] })
      })
      if (!change.ok) return change
      const { operation, warnings } = change.value
      const id = operation.subject.split('/')[1] ?? ''
      return ok({ guest: { id, name: body.name }, warnings, ...(await desk.started(operation)) })
    },

    'volume.capture': async ({ params }) => {
      const volume = desk.state.volumes.get(params.volume as VolumeId)?.value
      if (!volume)
        return desk.loaded(() =>
          fail(failure('not_found', `There is no volume ${params.volume}`, { hint: 'See `stead volume list`' })),
        )
      const guest = desk.state.guests.get(volume.guest)?.value
      const objection = guest && objectionToCapture(desk.state, guest)
      if (objection) return fail(objection)
      const disk = await capture(desk, volume)
      if (!disk.ok) return disk
      const path = await blobs.ensure(disk.value.blob)
      return path.ok ? ok({ blob: disk.value.blob, sizeBytes: await blobs.sizeBytes(disk.value.blob) }) : path
    },

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

/** Why its disks cannot be read now. */
function objectionToCapture(state: ClusterState, guest: Guest) {
  if (guest.deleting) return failure('conflict', `${guest.name} is being deleted`)
  if (guest.desired === 'stopped' && !isActive(state.grants.get(guest.id)?.value)) return undefined
  return failure('conflict', `${guest.name} must be stopped before its disks are copied`, {
    hint: `\`stead vm stop ${guest.name}\` first`,
  })
}

/** The disks as files, and what must still hold for them to be true: that the guest has not run meanwhile. */
async function captureAll(
  desk: Desk,
  guest: Guest,
): Promise<Result<GuestTemplate & { readonly compares: readonly Compare[] }>> {
  const objection = objectionToCapture(desk.state, guest)
  if (objection) return fail(objection)
  const compares = [{ key: KEYS.grant(guest.id), modRevision: desk.state.grants.get(guest.id)?.revision ?? 0n }]
  const disks: ImageDisk[] = []
  let firmware: ImageDisk | undefined
  for (const { value: volume } of volumesOf(desk.state, guest) ?? []) {
    // A TPM's secrets are the guest's own.
    if (volume.role === 'tpm') continue
    const disk = await capture(desk, volume)
    if (!disk.ok) return disk
    if (volume.role === 'firmware') firmware = disk.value
    else disks.push(disk.value)
  }
  return ok({ disks, ...(firmware ? { firmware } : {}), compares })
}

async function capture(desk: Desk, volume: Volume): Promise<Result<ImageDisk>> {
  const { self, captureDisk } = desk.context
  const usable = inSync(volume).filter(({ host }) => desk.isUp(host))
  const source = usable.find(({ host }) => host === self) ?? usable[0]
  if (source) return captureDisk(source.host, volume.id, source.pool)
  const hosts = inSync(volume).map(({ host }) => host)
  return fail(
    failure('waits_for_host', `No host that is up has a current copy of ${volume.name}`, {
      hint: `Bring ${hosts.join(' or ')} back`,
    }),
  )
}

function systemLike({ container }: Guest) {
  return container ? { system: container.system } : {}
}

/** The firmware that the guest was made with, its variables as they are in the copy. */
function firmwareLike({ platform }: Guest, variables: ImageDisk | undefined): { readonly firmware?: FirmwareFiles } {
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
    ...(source.container ? { container: containerLike(source.container) } : {}),
    platform: platformLike(source),
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
