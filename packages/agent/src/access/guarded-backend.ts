/**
 * The one place that asks whether a request is permitted: around the back end, before and after each of its answers.
 * An object that may not be seen does not exist for who asks. docs/internals/access.md.
 */
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { Endpoint } from '@stead/api/endpoint.ts'
import type { LiveBatch, LiveChange } from '@stead/api/endpoints/live-views.ts'
import { decider, lapsedBecause, type AccessDecision } from '@stead/core/access/decide.ts'
import { CLUSTER_PATH, shownPath } from '@stead/core/access/object-path.ts'
import type { Privilege } from '@stead/core/access/privilege.ts'
import { dutyOf, sessionEndedBecause } from '@stead/core/access/session.ts'
import { failure, type Failure } from '@stead/core/errors.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import { principalName, type Principal } from '@stead/core/model/access.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ApiBackend, BackendId, RequestContext } from '../http/backend.ts'
import { isAsyncIterable } from '../http/streamed-reply.ts'
import type { AuditWriter } from '../audit/audit-writer.ts'
import { accessRecordsOf } from './access-records.ts'
import { subjectOf } from './audited-backend.ts'
import { demandsOf, type AnyInput, type Demand } from './demands.ts'
import { TakenAway } from './taken-away.ts'
import { ITEM_PATHS } from './visible-items.ts'
import { LIVE_PATHS, LIVE_PRIVILEGES, visibleViews } from './visible-views.ts'

export interface GuardContext {
  readonly mirror: ClusterMirror
  readonly clock: Pick<Clock, 'wallMs'>
  readonly audit: Pick<AuditWriter, 'denied'>
}

type Handler = (input: unknown, context: RequestContext) => Promise<Result<unknown>>

export function guardedBackend(backend: ApiBackend, context: GuardContext): ApiBackend {
  const guard = new Guard(context)
  const guarded = Object.entries(backend).map(([id, handler]) => {
    const endpoint: Endpoint = ENDPOINTS[id as BackendId]
    return [
      id,
      (input: unknown, request: RequestContext) =>
        guard.answer(endpoint, handler as unknown as Handler, input, request),
    ]
  })
  return Object.fromEntries(guarded) as ApiBackend
}

class Guard {
  readonly #context: GuardContext

  constructor(context: GuardContext) {
    this.#context = context
  }

  async answer(
    endpoint: Endpoint,
    handler: Handler,
    input: unknown,
    request: RequestContext,
  ): Promise<Result<unknown>> {
    // Also where the store cannot be reached: who is root of a host has it all anyway.
    if (request.principal.kind === 'root' && !endpoint.public) return handler(input, request)
    if (!this.#context.mirror.loaded) return fail(NOT_LOADED)
    if (endpoint.public) return handler(input, request)
    const { principal } = request
    const refusal = () =>
      this.#lapsed(principal, endpoint) ??
      this.#refusal(principal, demandsOf(endpoint, input as AnyInput, this.#state, request.whatIf === true))
    const refused = refusal()
    if (refused) {
      const subject = subjectOf(endpoint, input as AnyInput)
      this.#context.audit.denied(request, { what: endpoint.id, subject, message: refused.message })
      if (request.trail) request.trail.recorded = true
      return fail(refused)
    }
    const taken = endpoint.streams ? new TakenAway(this.#context.mirror, request.signal, () => !refusal()) : undefined
    const asked = endpoint.on === 'views' ? this.#fromTheBeginning(input, principal) : input
    const answer = await handler(asked, taken ? { ...request, signal: taken.signal } : request)
    if (!answer.ok || !isAsyncIterable(answer.value)) taken?.release()
    if (!answer.ok) return answer
    if (isAsyncIterable(answer.value) && endpoint.streams === 'text')
      return ok(whilePermitted(answer.value, () => !refusal()))
    return this.#visible(endpoint, principal, answer.value)
  }

  /** Who goes on where he stopped is told of what is gone meanwhile; who may not see everything begins anew instead. */
  #fromTheBeginning(input: unknown, principal: Principal): unknown {
    const seesAll = Object.values(LIVE_PRIVILEGES).every(
      (privilege) => this.#decide(principal, privilege, CLUSTER_PATH).allowed,
    )
    const { query, ...rest } = input as { readonly query: { readonly since?: string } }
    return seesAll ? input : { ...rest, query: { ...query, since: undefined } }
  }

  /** Who counts no more, or must do something else first. */
  #lapsed(principal: Principal, endpoint: Endpoint): Failure | undefined {
    const wallMs = this.#context.clock.wallMs()
    const because =
      lapsedBecause(accessRecordsOf(this.#state), principal, wallMs) ??
      sessionEndedBecause(this.#state, principal, wallMs)
    if (because !== undefined)
      return failure('unauthorized', `${principalName(principal)} counts no more: ${because}`, SIGN_IN_AGAIN)
    const must = dutyOf(this.#state, principal)
    if (must === undefined || endpoint.dutiful) return undefined
    return failure('forbidden', `${principalName(principal)} ${DUTIES[must].what}`, { hint: DUTIES[must].how })
  }

  get #state(): ClusterState {
    return this.#context.mirror.state
  }

  #decide(principal: Principal, privilege: Privilege, path: string): AccessDecision {
    return this.#decider(principal, privilege)(path)
  }

  /** Good for as long as nothing is waited for. */
  #decider(principal: Principal, privilege: Privilege): (path: string) => AccessDecision {
    return decider(accessRecordsOf(this.#state), principal, privilege, this.#context.clock.wallMs())
  }

  #refusal(principal: Principal, demands: readonly Demand[]): Failure | undefined {
    for (const { privilege, path, seenBy, missing } of demands) {
      const decision = this.#decide(principal, privilege, path)
      if (decision.allowed) continue
      if (missing && !(seenBy && this.#decide(principal, seenBy, path).allowed))
        return failure('not_found', missing.message, { hint: missing.hint })
      return forbidden(this.#state, principal, privilege, path, decision)
    }
    return undefined
  }

  /** What of an answer may be seen. */
  #visible(endpoint: Endpoint, principal: Principal, value: unknown): Result<unknown> {
    const { permission, on } = endpoint
    if (on === 'views') return ok(visibleViews(value as LiveBatch | AsyncIterable<LiveBatch>, this.#sees(principal)))
    const pathOf = ITEM_PATHS[on]
    if (!pathOf || permission === 'none') return ok(value)
    const isVisible = (item: unknown) => this.#decide(principal, permission, pathOf(this.#state, item as never)).allowed
    if (isAsyncIterable(value)) return ok(filtered(value, isVisible))
    if (on === 'operation' || on === 'event') {
      if (isVisible(value)) return ok(this.#withVisiblePast(principal, value as object))
      return fail(failure('not_found', `There is no such ${on}`, { hint: `See \`stead ${on} list\`` }))
    }
    const { items } = value as { items: readonly unknown[] }
    const decideOn = this.#decider(principal, permission)
    const visible = items.filter((item) => decideOn(pathOf(this.#state, item as never)).allowed)
    // The very same list, where it is all: its JSON may be kept.
    return visible.length === items.length ? ok(value) : ok({ ...(value as object), items: visible })
  }

  /** Made anew for each batch. */
  #sees(principal: Principal) {
    return () => {
      const deciders = new Map(
        Object.entries(LIVE_PRIVILEGES).map(([kind, privilege]) => [kind, this.#decider(principal, privilege)]),
      )
      return ({ kind, id }: LiveChange) => deciders.get(kind)?.(LIVE_PATHS[kind](this.#state, id)).allowed === true
    }
  }

  /** An explained event comes with others that happened before it. */
  #withVisiblePast(principal: Principal, value: { readonly before?: readonly unknown[] }): object {
    const pathOf = ITEM_PATHS.events
    if (!value.before || !pathOf) return value
    const before = value.before.filter(
      (event) => this.#decide(principal, 'event.view', pathOf(this.#state, event as never)).allowed,
    )
    return { ...value, before }
  }
}

/** Nothing that comes after it was taken away, however soon, is shown. */
async function* whilePermitted(source: AsyncIterable<unknown>, isPermitted: () => boolean): AsyncGenerator<unknown> {
  for await (const item of source) {
    if (!isPermitted()) return
    yield item
  }
}

const SIGN_IN_AGAIN = { hint: 'Sign in again: `stead login`' }
const DUTIES = {
  'change-password': { what: 'must choose a password of his own first', how: '`stead auth password`' },
  'add-second-factor': { what: 'must add a second factor first', how: '`stead auth second-factor add`' },
} as const

async function* filtered(source: AsyncIterable<unknown>, isVisible: (item: unknown) => boolean) {
  for await (const item of source) if (isVisible(item)) yield item
}

const NOT_LOADED = failure('no_quorum', "This host has not reached the cluster's store yet, so it knows no users", {
  hint: 'Wait a moment, ask another host, or use the unix socket of a host as root',
})

function forbidden(
  state: ClusterState,
  principal: Principal,
  privilege: Privilege,
  path: string,
  { because, by }: AccessDecision,
): Failure {
  const who = principalName(principal)
  const shown = shownPath(state, path)
  const reason = by ? because.replace(by.path, shownPath(state, by.path)) : because.replace(path, shown)
  const subject = principal.kind === 'user' ? `--user ${who}` : `--token '${who}'`
  return failure('forbidden', `${who} needs ${privilege} on ${shown}: ${reason}`, {
    hint: `An administrator can give a role that includes it: \`stead permission grant ${shown} ROLE ${subject}\``,
  })
}
