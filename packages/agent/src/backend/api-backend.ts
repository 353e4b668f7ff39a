/** The agent's answer to each endpoint of the API. Reads come from this host's copy of the records: any host answers. */
import { isAbsolute } from 'node:path'
import { failure, type Failure } from '@stead/core/errors.ts'
import type { Verdict } from '@stead/core/ha/coordinator.ts'
import { operationOutcome } from '@stead/core/ha/operations.ts'
import type { EventWriter } from '@stead/core/host/event-writer.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { BlobId, HostId, OperationId, VolumeId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Operation } from '@stead/core/model/operation.ts'
import { guestByName, isActive } from '@stead/core/model/records.ts'
import type { Clock, Random } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { BlobStore } from '../blobs/blob-store.ts'
import type { History } from '../history.ts'
import type { ApiBackend, RequestContext } from '../http/backend.ts'
import { commitChange } from './change.ts'
import { planCreate } from './create-plan.ts'
import { deleteChange, setChange, startChange, stopChange } from './guest-changes.ts'
import { clusterView, guestState, guestView, hostView, operationView, volumeView, type ViewContext } from './views.ts'

const OWN_COPY_MS = 1_000
/** How long an answer waits until all hosts have the files that it names; the sending goes on. */
const SPREAD_WAIT_MS = 1_000

export interface BackendContext {
  readonly self: HostId
  readonly store: Store
  readonly mirror: ClusterMirror
  readonly events: EventWriter
  readonly history: History
  readonly blobs: BlobStore
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly verdicts: () => ReadonlyMap<HostId, Verdict>
  /** Bytes that the stale replicas of a volume lack, asked of its source; undefined when nobody can tell now. */
  readonly lagBytes: (volume: VolumeId) => Promise<number | undefined>
  /** The guest's console, from whichever host has it. */
  readonly console: (
    guest: Guest,
    offset: number,
    follow: boolean,
    signal: AbortSignal,
  ) => Promise<Result<AsyncIterable<Uint8Array>>>
  readonly checkKernel: (path: string) => Promise<Result<unknown>>
  readonly checkImage: (path: string, format: 'raw' | 'qcow2') => Promise<Result<{ readonly virtualSizeBytes: number }>>
  /** Has every host that is up fetch these files, so that a failover finds them. */
  readonly spreadBlobs: (blobs: readonly BlobId[]) => Promise<void>
  /** `failover --confirm-dead`, which must work without the store. */
  readonly confirmDead: (host: HostId) => Promise<Result<void>>
}

export function createApiBackend(context: BackendContext): ApiBackend {
  const { self, store, mirror, history, blobs, clock } = context

  const view = (): ViewContext => ({ state: withUnreported(mirror, self), verdicts: context.verdicts() })
  const loaded = <T>(answer: (state: ClusterState) => Result<T>): Result<T> =>
    mirror.loaded
      ? answer(mirror.state)
      : fail(
          failure('no_quorum', `${self} has not reached the cluster's store yet`, {
            hint: 'Wait a moment; if it stays so, a majority of the hosts is down',
          }),
        )
  /** Answers once this host's own copy holds the change: who asks next, here, must find what he has just done. */
  const started = async (operation: Operation) => {
    await mirror.until((state) => state.operations.has(operation.id), clock.sleep(OWN_COPY_MS))
    return { operation: operationView(view(), mirror.state.operations.get(operation.id)?.value ?? operation) }
  }

  const findGuest = (nameOrId: string): Result<Versioned<Guest>> =>
    loaded((state) => {
      const guest = state.guests.get(nameOrId as never) ?? guestByName(state, nameOrId)
      return guest
        ? ok(guest)
        : fail(failure('not_found', `There is no guest ${nameOrId}`, { hint: 'See `stead vm list`' }))
    })

  const findHost = (name: string) =>
    loaded((state) => {
      const host = state.hosts.get(name as HostId)
      return host
        ? ok(host)
        : fail(
            failure('not_found', `There is no host ${name}`, {
              hint: `The hosts are ${[...state.hosts.keys()].toSorted().join(', ')}`,
            }),
          )
    })

  const withLag = async (volumes: readonly VolumeId[]): Promise<ViewContext> => {
    const stale = volumes.filter((id) =>
      mirror.state.volumes.get(id)?.value.replicas.some((replica) => replica.state !== 'in-sync'),
    )
    const lags = await Promise.all(stale.map(async (id) => [id, await context.lagBytes(id)] as const))
    return {
      ...view(),
      lagBytes: new Map(lags.flatMap(([id, bytes]) => (bytes === undefined ? [] : [[id, bytes] as const]))),
    }
  }

  const changeGuest = async (
    nameOrId: string,
    request: RequestContext,
    make: Parameters<typeof commitChange>[2] extends () => infer R ? (guest: Versioned<Guest>) => R : never,
  ) =>
    commitChange(context, request.idempotencyKey, () => {
      const guest = findGuest(nameOrId)
      if (!guest.ok) return guest
      if (request.ifMatch !== undefined && request.ifMatch !== String(guest.value.revision))
        return fail(
          failure('changed_meanwhile', `${guest.value.value.name} was changed meanwhile`, {
            hint: 'Look at it again, then repeat the change',
          }),
        )
      return make(guest.value)
    })

  const setMaintenance = (name: string, maintenance: boolean, request: RequestContext) =>
    commitChange(context, request.idempotencyKey, () => {
      const host = findHost(name)
      if (!host.ok) return host
      const { value } = host.value
      if (value.role === 'witness')
        return fail(
          failure('conflict', `${name} is a witness and runs no guests`, { hint: 'There is nothing to drain' }),
        )
      return ok({
        kind: maintenance ? 'host.drain' : 'host.undrain',
        subject: `host/${name}`,
        compares: [{ key: KEYS.policy(value.id), modRevision: mirror.state.policies.get(value.id)?.revision ?? 0n }],
        writes: [{ kind: 'put', key: KEYS.policy(value.id), value: JSON.stringify({ maintenance }) }],
        events: [
          {
            kind: 'host.maintenance',
            subject: `host/${name}`,
            message: maintenance ? `${name} is being drained` : `${name} may run guests again`,
          },
        ],
      })
    })

  const createPlan = (body: Parameters<typeof planCreate>[1]) =>
    loaded((state) =>
      planCreate(
        { state, self, verdicts: context.verdicts(), uuid: () => context.random.uuid(), wallMs: clock.wallMs() },
        body,
      ),
    )

  /** A client that waits too long asks another host; who lacks a file later fetches it then. */
  const spread = (files: readonly BlobId[]) => Promise.race([context.spreadBlobs(files), clock.sleep(SPREAD_WAIT_MS)])

  const checkFiles = async (body: Parameters<typeof planCreate>[1]): Promise<Failure | undefined> => {
    if (body.boot.kind !== 'kernel') return undefined
    const kernel = await blobs.ensure(body.boot.kernel)
    if (!kernel.ok) return kernel.error
    const checked = await context.checkKernel(kernel.value)
    if (!checked.ok) return checked.error
    const initrd = body.boot.initrd === undefined ? undefined : await blobs.ensure(body.boot.initrd)
    if (initrd && !initrd.ok) return initrd.error
    await spread([body.boot.kernel, ...(body.boot.initrd === undefined ? [] : [body.boot.initrd])])
    return undefined
  }

  return {
    'cluster.show': async () => loaded(() => ok(clusterView(view(), self))),

    'cluster.failover': async ({ body }, request) => {
      const host = body.confirmDead as HostId
      const confirmed = await context.confirmDead(host)
      if (!confirmed.ok) return confirmed
      const operation = await commitChange(context, request.idempotencyKey, () =>
        ok({
          kind: 'cluster.failover',
          subject: `host/${host}`,
          compares: [],
          writes: [],
          events: [
            {
              kind: 'host.confirmed-dead',
              subject: `host/${host}`,
              message: `an administrator confirms that ${host} is dead`,
            },
          ],
        }),
      )
      return operation.ok ? ok(await started(operation.value)) : operation
    },

    'host.list': async () =>
      loaded((state) =>
        ok({
          items: [...state.hosts.values()]
            .toSorted((a, b) => a.value.order - b.value.order)
            .map((host) => hostView(view(), host)),
        }),
      ),
    'host.show': async ({ params }) => {
      const host = findHost(params.host)
      return host.ok ? ok(hostView(view(), host.value)) : host
    },
    'host.drain': async ({ params }, request) => {
      const operation = await setMaintenance(params.host, true, request)
      return operation.ok ? ok(await started(operation.value)) : operation
    },
    'host.undrain': async ({ params }, request) => {
      const operation = await setMaintenance(params.host, false, request)
      return operation.ok ? ok(await started(operation.value)) : operation
    },

    'guest.list': async () =>
      loaded((state) =>
        ok({
          items: [...state.guests.values()]
            .map((guest) => guestView(view(), guest))
            .toSorted((a, b) => a.name.localeCompare(b.name)),
        }),
      ),
    'guest.show': async ({ params }) => {
      const guest = findGuest(params.guest)
      if (!guest.ok) return guest
      return ok(guestView(await withLag(guest.value.value.volumes), guest.value))
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
      const operation = await commitChange(context, request.idempotencyKey, () => {
        const plan = createPlan(body)
        if (!plan.ok) return plan
        const { guest, volumes } = plan.value
        return ok({
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
              message: `${guest.name} is created; ${plan.value.decision.facts.join('; ') || 'it has no disk'}`,
            },
          ],
        })
      })
      if (!operation.ok) return operation
      const id = operation.value.subject.split('/')[1] ?? ''
      return ok({
        guest: { id, name: body.name },
        warnings: planned.ok ? [...planned.value.warnings] : [],
        ...(await started(operation.value)),
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
        decision: {
          ...decision,
          facts: [...decision.facts],
          candidates: decision.candidates.map((candidate) => ({ ...candidate, merits: [...candidate.merits] })),
        },
      })
    },
    'guest.set': async ({ params, body }, request) => {
      const operation = await changeGuest(params.guest, request, (guest) => setChange(mirror.state, guest, body))
      if (!operation.ok) return operation
      await mirror.until(
        (state) => (state.guests.get(operation.value.subject.split('/')[1] as never)?.revision ?? 0n) > 0n,
        clock.sleep(1_000),
      )
      const guest = findGuest(params.guest)
      return guest.ok ? ok(guestView(view(), guest.value)) : guest
    },
    'guest.delete': async ({ params }, request) => {
      const operation = await changeGuest(params.guest, request, deleteChange)
      return operation.ok ? ok(await started(operation.value)) : operation
    },
    'guest.start': async ({ params, body }, request) => {
      const operation = await changeGuest(params.guest, request, (guest) =>
        startChange(mirror.state, guest, body.acceptDataLoss),
      )
      return operation.ok ? ok(await started(operation.value)) : operation
    },
    'guest.stop': async ({ params, body }, request) => {
      const operation = await changeGuest(params.guest, request, (guest) =>
        ok(stopChange(guest, body.force, body.timeoutMs)),
      )
      return operation.ok ? ok(await started(operation.value)) : operation
    },
    'guest.log': async ({ params, query }, request) => {
      const guest = findGuest(params.guest)
      return guest.ok
        ? context.console(guest.value.value, query.offset ?? 0, query.follow ?? false, request.signal)
        : guest
    },
    'guest.explain': async ({ params }) => {
      const guest = findGuest(params.guest)
      if (!guest.ok) return guest
      const { value } = guest.value
      const decision = mirror.state.decisions.get(value.id)?.value
      const { state, reason } = guestState(view(), value)
      return ok({
        name: value.name,
        id: value.id,
        state,
        reason,
        decision: decision
          ? {
              ...decision,
              facts: [...decision.facts],
              candidates: decision.candidates.map((candidate) => ({ ...candidate, merits: [...candidate.merits] })),
            }
          : null,
      })
    },

    'volume.list': async () =>
      loaded((state) => ok({ items: [...state.volumes.values()].map((volume) => volumeView(view(), volume)) })),
    'volume.show': async ({ params }) => {
      const volume = mirror.state.volumes.get(params.volume as VolumeId)
      if (!volume)
        return loaded(() =>
          fail(failure('not_found', `There is no volume ${params.volume}`, { hint: 'See `stead volume list`' })),
        )
      return ok(volumeView(await withLag([volume.value.id]), volume))
    },

    'event.list': async ({ query }, { signal }) => {
      const { since, kinds, limit, follow } = query
      const wanted = kinds?.split(',')
      const items = history.list({
        ...(since === undefined ? {} : { since }),
        ...(wanted ? { kinds: wanted } : {}),
        limit: limit ?? 1_000,
      })
      if (!follow) return ok({ items: items.map(cloneEvent) })
      return ok(followEvents(history, items, wanted, signal))
    },

    'operation.list': async () =>
      loaded((state) =>
        ok({
          items: [...state.operations.values()]
            .map(({ value }) => operationView(view(), value))
            .toSorted((a, b) => b.startedAt - a.startedAt),
        }),
      ),
    'operation.show': async ({ params, query }) => {
      const find = () => mirror.state.operations.get(params.operation as OperationId)?.value
      if (!find()) await mirror.until(() => find() !== undefined, clock.sleep(1_000))
      const operation = find()
      if (!operation)
        return loaded(() =>
          fail(
            failure('not_found', `There is no operation ${params.operation}`, {
              hint: 'Operations are kept for a while only; see `stead operation list`',
            }),
          ),
        )
      const before = JSON.stringify(operationOutcome(operation, mirror.state))
      const isOver = before.includes('"state":"succeeded"') || before.includes('"state":"failed"')
      if (query.waitMs && !isOver)
        await mirror.until(
          (state) => JSON.stringify(operationOutcome(find() ?? operation, state)) !== before,
          clock.sleep(query.waitMs),
        )
      return ok(operationView(view(), find() ?? operation))
    },

    'blob.put': async ({ params, upload }) => {
      const put = await blobs.put(params.digest, upload.stream)
      return put.ok ? ok() : put
    },
    'blob.stat': async ({ params }) =>
      blobs.find(params.digest) === undefined ? fail(failure('not_found', `${params.digest} is not here`)) : ok(),

    'image.list': async () =>
      loaded((state) => ok({ items: [...state.images.values()].map(({ value }) => ({ ...value })) })),
    'image.import': async ({ body }) => {
      const path = await blobs.ensure(body.blob)
      if (!path.ok) return path
      if (!isAbsolute(path.value)) return fail(failure('internal', 'A blob has no absolute path'))
      const checked = await context.checkImage(path.value, body.format)
      if (!checked.ok) return checked
      const image = { ...body, virtualSizeBytes: checked.value.virtualSizeBytes, createdAt: clock.wallMs() }
      await spread([body.blob])
      const outcome = await store.transact({
        compares: [{ key: KEYS.image(body.name), modRevision: 0n }],
        writes: [{ kind: 'put', key: KEYS.image(body.name), value: JSON.stringify(image) }],
      })
      if (!outcome.ok) return outcome
      return outcome.value.committed
        ? ok(image)
        : fail(
            failure('name_taken', `An image named ${body.name} exists`, {
              hint: 'Choose another name, or delete that image first',
            }),
          )
    },
    'image.delete': async ({ params }) => {
      const known = mirror.state.images.get(params.image)
      if (!known)
        return loaded(() =>
          fail(failure('not_found', `There is no image ${params.image}`, { hint: 'See `stead image list`' })),
        )
      const outcome = await store.transact({
        compares: [],
        writes: [{ kind: 'delete', key: KEYS.image(params.image) }],
      })
      return outcome.ok ? ok() : outcome
    },
  }
}

/** The records, and what this host knows better of its own guests while the store cannot be told. */
function withUnreported({ state, unreported }: ClusterMirror, self: HostId): ClusterState {
  if (unreported.size === 0) return state
  const observations = new Map(state.observations)
  for (const [guest, { observation, failed }] of unreported) {
    const grant = state.grants.get(guest)?.value
    if (!isActive(grant) || grant.host !== self || grant.epoch !== observation.epoch) continue
    const reason =
      failed && observation.phase === 'paused'
        ? `${observation.reason}; it goes on once the cluster's store, which has no majority now, can record that`
        : observation.reason
    observations.set(guest, { value: { ...observation, reason }, revision: observations.get(guest)?.revision ?? 0n })
  }
  return { ...state, observations }
}

function cloneEvent(event: ClusterEvent) {
  return event.details ? { ...event, details: { ...event.details } } : { ...event }
}

async function* followEvents(
  history: History,
  first: readonly ClusterEvent[],
  kinds: readonly string[] | undefined,
  signal: AbortSignal,
) {
  const queue: ClusterEvent[] = [...first]
  let wake: () => void = () => {}
  const off = history.onEvent((event) => {
    if (kinds && !kinds.includes(event.kind)) return
    queue.push(event)
    wake()
  })
  signal.addEventListener('abort', () => wake())
  try {
    while (!signal.aborted) {
      const event = queue.shift()
      if (event) yield cloneEvent(event)
      else await new Promise<void>((resolve) => (wake = resolve))
    }
  } finally {
    off()
  }
}
