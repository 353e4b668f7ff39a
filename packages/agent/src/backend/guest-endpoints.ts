/** Guests: what there is of them, and what users want of them. */
import type { GuestView } from '@stead/api/views.ts'
import type { Failure } from '@stead/core/errors.ts'
import type { Figures } from '@stead/core/foresight/figures.ts'
import { moveTargets, objectionToLiveMoveOf } from '@stead/core/ha/move-request.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { projectOf } from '@stead/core/model/project.ts'
import { isActive } from '@stead/core/model/records.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import { planCreate, type CreatePlan } from './create-plan.ts'
import type { Change } from './change.ts'
import type { Desk } from './desk.ts'
import { addressesOf } from './guest-agent-endpoints.ts'
import { memoryUseForShow } from './guest-memory.ts'
import {
  cancelMigrationChange,
  deleteChange,
  migrateChange,
  relocateChange,
  restartChange,
  setChange,
  startChange,
  stopChange,
} from './guest-changes.ts'
import { hasTags } from './lifecycle-settings.ts'
import { keepSeed } from './guest-media.ts'
import { firmwareFiles, type FirmwareFiles } from './firmware-files.ts'
import { spreadFiles, viewWithLag } from './storage-endpoints.ts'
import { cloneDecision, guestView } from './views.ts'
import { figuresOf } from './what-if.ts'

type Answers = Pick<
  ApiBackend,
  | 'guest.list'
  | 'guest.show'
  | 'guest.create'
  | 'guest.plan'
  | 'guest.set'
  | 'guest.delete'
  | 'guest.start'
  | 'guest.stop'
  | 'guest.restart'
  | 'guest.relocate'
  | 'guest.migrate'
  | 'guest.cancel-migration'
  | 'guest.move-targets'
  | 'guest.log'
>
type CreateBody = Parameters<typeof planCreate>[1]

export function guestEndpoints(desk: Desk): Answers {
  const { self, blobs, clock, random, verdicts, checkKernel } = desk.context

  const createPlan = (body: CreateBody, firmware: FirmwareFiles | undefined) =>
    desk.loaded((state) =>
      planCreate(
        {
          state,
          self,
          verdicts: verdicts(),
          uuid: () => random.uuid(),
          wallMs: clock.wallMs(),
          ...(firmware ? { firmware } : {}),
        },
        body,
      ),
    )
  const firmwareOf = async ({ platform }: CreateBody): Promise<Result<FirmwareFiles | undefined>> => {
    const kind = platform?.firmware ?? 'bios'
    return kind === 'bios' ? ok(undefined) : firmwareFiles(blobs, kind)
  }

  const checkFiles = async (body: CreateBody): Promise<Failure | undefined> => {
    if (body.boot.kind !== 'kernel') return undefined
    const kernel = await blobs.ensure(body.boot.kernel)
    if (!kernel.ok) return kernel.error
    const checked = await checkKernel(kernel.value)
    if (!checked.ok) return checked.error
    const initrd = body.boot.initrd === undefined ? undefined : await blobs.ensure(body.boot.initrd)
    if (initrd && !initrd.ok) return initrd.error
    await spreadFiles(desk, [body.boot.kernel, ...(body.boot.initrd === undefined ? [] : [body.boot.initrd])])
    return undefined
  }

  return {
    'guest.list': async ({ query: { kind, project, tag } }) =>
      desk.loaded(() => {
        const all = desk.liveViews.guests()
        if (kind === undefined && project === undefined && tag === undefined) return ok({ items: all })
        const isWanted = (guest: GuestView) =>
          (kind === undefined || guest.kind === kind) &&
          (project === undefined || guest.project === project) &&
          hasTags(guest.tags, tag)
        return ok({ items: all.filter(isWanted) })
      }),
    'guest.show': async ({ params }) => {
      const guest = desk.findGuest(params.guest)
      if (!guest.ok) return guest
      const [context, addresses, memoryUse] = await Promise.all([
        viewWithLag(desk, guest.value.value.volumes),
        addressesOf(desk, guest.value.value),
        memoryUseForShow(desk, guest.value.value),
      ])
      return ok({ ...guestView(context, guest.value), addresses, memoryUse })
    },
    'guest.create': async ({ body }, request) => {
      const firmware = await firmwareOf(body)
      if (!firmware.ok) return firmware
      const planned = createPlan(body, firmware.value)
      if (!planned.ok) {
        // A repeated create meets its own guest: the operation is what its client wants to hear of.
        if (!request.once?.earlier) return planned
      } else {
        const broken = await checkFiles(body)
        if (broken) return fail(broken)
        if (firmware.value) await spreadFiles(desk, [firmware.value.code, firmware.value.variables.blob])
      }
      const change = await desk.changeAdmitted(request, body.acceptBreach, async () => {
        const plan = createPlan(body, firmware.value)
        if (!plan.ok) return plan
        const kept = request.whatIf ? ok() : await keepSeed(desk, plan.value.seed)
        return kept.ok ? ok(createChange(plan.value)) : kept
      })
      if (!change.ok) return change
      const { operation, warnings } = change.value
      return ok({
        guest: { id: operation.subject.split('/')[1] ?? '', name: body.name },
        warnings: [...(planned.ok ? planned.value.warnings : []), ...warnings],
        ...(await desk.started(operation)),
      })
    },
    'guest.plan': async ({ body }) => {
      const firmware = await firmwareOf(body)
      if (!firmware.ok) return firmware
      const plan = createPlan(body, firmware.value)
      if (!plan.ok) return plan
      const { volumes, decision, host, warnings } = plan.value
      return ok({
        host,
        warnings: [...warnings],
        volumes: volumes.map((volume) => ({
          name: volume.name,
          sizeBytes: volume.sizeBytes,
          replicas: volume.replicas.map((replica) => ({ host: replica.host, pool: replica.pool })),
        })),
        decision: cloneDecision(decision),
      })
    },
    'guest.set': async ({ params, body }, request) => {
      const change = await desk.changeGuestAdmitted(params.guest, request, body.acceptBreach, (guest) =>
        setChange(desk.state, guest, body, desk.isUp, clock.wallMs()),
      )
      if (!change.ok) return change
      await desk.started(change.value.operation)
      const guest = desk.findGuest(params.guest)
      return guest.ok ? ok({ ...guestView(desk.view(), guest.value), warnings: change.value.warnings }) : guest
    },
    'guest.delete': async ({ params }, request) => {
      const operation = await desk.changeGuest(params.guest, request, deleteChange)
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'guest.start': async ({ params, body }, request) => {
      const change = await desk.changeGuestAdmitted(params.guest, request, body.acceptBreach, (guest) =>
        startChange(desk.state, guest, body.acceptDataLoss),
      )
      if (!change.ok) return change
      return ok({ ...(await desk.started(change.value.operation)), warnings: change.value.warnings })
    },
    'guest.stop': async ({ params, body }, request) => {
      const operation = await desk.changeGuest(params.guest, request, (guest) =>
        stopChange(guest, body.force, body.timeoutMs),
      )
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'guest.restart': async ({ params }, request) => {
      const operation = await desk.changeGuest(params.guest, request, (guest) => restartChange(desk.state, guest))
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'guest.relocate': async ({ params, body }, request) => {
      const operation = await desk.changeGuest(params.guest, request, (guest) => {
        const host = desk.findHost(body.to)
        return host.ok ? relocateChange(desk.state, guest, host.value.value.id, desk.isUp, clock.wallMs()) : host
      })
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'guest.migrate': async ({ params, body }, request) => {
      const operation = await desk.changeGuest(params.guest, request, (guest) => {
        const host = body.to === undefined ? undefined : desk.findHost(body.to)
        if (host && !host.ok) return host
        return migrateChange(desk.state, guest, host?.value.value.id, desk.isUp, body.postCopy)
      })
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'guest.cancel-migration': async ({ params }, request) => {
      const operation = await desk.changeGuest(params.guest, request, (guest) =>
        cancelMigrationChange(desk.state, guest),
      )
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'guest.move-targets': async ({ params }) => {
      const guest = desk.findGuest(params.guest)
      if (!guest.ok) return guest
      const { value } = guest.value
      const grant = desk.state.grants.get(value.id)?.value
      const at = isActive(grant) ? grant.host : undefined
      const liveness = (host: HostId, reason: string) => {
        if (reason !== '' || host === at) return { live: false, liveReason: '' }
        const objection = objectionToLiveMoveOf(desk.state, value, host, desk.isUp)
        return { live: objection === undefined, liveReason: objection?.message ?? '' }
      }
      return ok({
        guest: value.name,
        targets: moveTargets(desk.state, value, desk.isUp).map(({ host, reason, merits }) => ({
          host,
          possible: reason === '' && host !== at,
          ...liveness(host, reason),
          current: host === at,
          reason: host === at ? 'it is there' : reason,
          merits: [...merits],
        })),
        restart: restartTime(figuresOf(desk.state, desk.context.history)),
      })
    },
    'guest.log': async ({ params, query }, request) => {
      const guest = desk.findGuest(params.guest)
      return guest.ok
        ? desk.context.console(guest.value.value, query.offset ?? 0, query.follow ?? false, request.signal)
        : guest
    },
  }
}

function restartTime({ startMs, stopMs, samples }: Figures) {
  return { expectedMs: Math.round(startMs + stopMs), measured: Math.min(samples.start, samples.stop) }
}

export function createChange({ guest, volumes, decision }: CreatePlan): Change {
  const ids = guest.container && KEYS.containerIds(guest.container.idBase)
  return {
    kind: 'vm.create',
    subject: `guest/${guest.id}`,
    project: projectOf(guest),
    compares: [
      { key: KEYS.guestName(guest.name), modRevision: 0n },
      { key: KEYS.guest(guest.id), modRevision: 0n },
      ...(ids === undefined ? [] : [{ key: ids, modRevision: 0n }]),
    ],
    writes: [
      { kind: 'put', key: KEYS.guestName(guest.name), value: guest.id },
      { kind: 'put', key: KEYS.guest(guest.id), value: JSON.stringify(guest) },
      ...(ids === undefined ? [] : [{ kind: 'put' as const, key: ids, value: guest.id }]),
      ...volumes.map((volume) => ({
        kind: 'put' as const,
        key: KEYS.volume(volume.id),
        value: JSON.stringify(volume),
      })),
    ],
    events: [
      {
        kind: 'guest.created',
        subject: `guest/${guest.name}`,
        project: projectOf(guest),
        message: `${guest.name} is created; ${decision.facts.join('; ') || 'it has no disk'}`,
      },
    ],
  }
}
