/** Guests: what there is of them, and what users want of them. */
import type { Failure } from '@stead/core/errors.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { Decision } from '@stead/core/model/decision.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import { planCreate, type CreatePlan } from './create-plan.ts'
import type { Change } from './change.ts'
import type { Desk } from './desk.ts'
import { deleteChange, setChange, startChange, stopChange } from './guest-changes.ts'
import { spreadFiles, viewWithLag } from './storage-endpoints.ts'
import { guestState, guestView } from './views.ts'

const OWN_COPY_MS = 1_000

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
  | 'guest.log'
  | 'guest.explain'
>
type CreateBody = Parameters<typeof planCreate>[1]

export function guestEndpoints(desk: Desk): Answers {
  const { self, store, mirror, blobs, clock, random, verdicts, checkKernel } = desk.context

  const createPlan = (body: CreateBody) =>
    desk.loaded((state) =>
      planCreate({ state, self, verdicts: verdicts(), uuid: () => random.uuid(), wallMs: clock.wallMs() }, body),
    )

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
    'guest.list': async () =>
      desk.loaded((state) =>
        ok({
          items: [...state.guests.values()]
            .map((guest) => guestView(desk.view(), guest))
            .toSorted((a, b) => a.name.localeCompare(b.name)),
        }),
      ),
    'guest.show': async ({ params }) => {
      const guest = desk.findGuest(params.guest)
      if (!guest.ok) return guest
      return ok(guestView(await viewWithLag(desk, guest.value.value.volumes), guest.value))
    },
    'guest.create': async ({ body }, request) => {
      const planned = createPlan(body)
      if (!planned.ok) {
        // A repeated create meets its own guest: the operation is what its client wants to hear of.
        const earlier =
          request.idempotencyKey === undefined ? undefined : await store.get(KEYS.idempotency(request.idempotencyKey))
        if (planned.error.code !== 'name_taken' || !earlier?.ok || !earlier.value) return planned
      } else {
        const broken = await checkFiles(body)
        if (broken) return fail(broken)
      }
      const operation = await desk.change(request, () => {
        const plan = createPlan(body)
        return plan.ok ? ok(createChange(plan.value)) : plan
      })
      if (!operation.ok) return operation
      const id = operation.value.subject.split('/')[1] ?? ''
      return ok({
        guest: { id, name: body.name },
        warnings: planned.ok ? [...planned.value.warnings] : [],
        ...(await desk.started(operation.value)),
      })
    },
    'guest.plan': async ({ body }) => {
      const plan = createPlan(body)
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
      const operation = await desk.changeGuest(params.guest, request, (guest) => setChange(desk.state, guest, body))
      if (!operation.ok) return operation
      await mirror.until(
        (state) => (state.guests.get(operation.value.subject.split('/')[1] as GuestId)?.revision ?? 0n) > 0n,
        clock.sleep(OWN_COPY_MS),
      )
      const guest = desk.findGuest(params.guest)
      return guest.ok ? ok(guestView(desk.view(), guest.value)) : guest
    },
    'guest.delete': async ({ params }, request) => {
      const operation = await desk.changeGuest(params.guest, request, deleteChange)
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'guest.start': async ({ params, body }, request) => {
      const operation = await desk.changeGuest(params.guest, request, (guest) =>
        startChange(desk.state, guest, body.acceptDataLoss),
      )
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'guest.stop': async ({ params, body }, request) => {
      const operation = await desk.changeGuest(params.guest, request, (guest) =>
        ok(stopChange(guest, body.force, body.timeoutMs)),
      )
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'guest.log': async ({ params, query }, request) => {
      const guest = desk.findGuest(params.guest)
      return guest.ok
        ? desk.context.console(guest.value.value, query.offset ?? 0, query.follow ?? false, request.signal)
        : guest
    },
    'guest.explain': async ({ params }) => {
      const guest = desk.findGuest(params.guest)
      if (!guest.ok) return guest
      const { value } = guest.value
      const decision = desk.state.decisions.get(value.id)?.value
      const { state, reason } = guestState(desk.view(), value)
      return ok({
        name: value.name,
        id: value.id,
        state,
        reason,
        decision: decision ? cloneDecision(decision) : null,
      })
    },
  }
}

function createChange({ guest, volumes, decision }: CreatePlan): Change {
  return {
    kind: 'vm.create',
    subject: `guest/${guest.id}`,
    compares: [
      { key: KEYS.guestName(guest.name), modRevision: 0n },
      { key: KEYS.guest(guest.id), modRevision: 0n },
    ],
    writes: [
      { kind: 'put', key: KEYS.guestName(guest.name), value: guest.id },
      { kind: 'put', key: KEYS.guest(guest.id), value: JSON.stringify(guest) },
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
        message: `${guest.name} is created; ${decision.facts.join('; ') || 'it has no disk'}`,
      },
    ],
  }
}

/** As the contract's types want it: nothing in it is read-only. */
export function cloneDecision(decision: Decision) {
  return {
    ...decision,
    facts: [...decision.facts],
    candidates: decision.candidates.map((candidate) => ({ ...candidate, merits: [...candidate.merits] })),
  }
}
