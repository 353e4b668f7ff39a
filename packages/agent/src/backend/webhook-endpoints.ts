/** Webhooks: made, changed, tried. What tells them is `webhooks/webhook-courier.ts`. */
import type { WebhookView } from '@stead/api/endpoints/webhooks.ts'
import { failure } from '@stead/core/errors.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { projectExists } from '@stead/core/model/project.ts'
import type { Webhook } from '@stead/core/model/webhook.ts'
import type { Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import { shownOnceBytes } from '../identity/shown-once.ts'
import { greeting } from '../webhooks/next-told.ts'
import { send, withSecret } from '../webhooks/webhook-courier.ts'
import { found, missing, put, remove } from './access-change.ts'
import type { Change } from './change.ts'
import type { Desk } from './desk.ts'

type Answers = Pick<ApiBackend, `webhook.${'list' | 'show' | 'create' | 'set' | 'delete' | 'test'}`>

/** Each is asked of at every event. */
const WEBHOOKS_MAX = 50
const NO_KINDS = failure('bad_request', 'One that is told of usage is told of no events', {
  hint: 'Make another webhook for these kinds of events',
})

export function webhookEndpoints(desk: Desk): Answers {
  const { clock } = desk.context
  const shown = (name: string): Result<WebhookView> => {
    const webhook = found(desk.state.webhooks, name, 'webhook')
    return webhook.ok ? ok(viewOf(desk.state, webhook.value)) : webhook
  }
  return {
    'webhook.list': async () =>
      desk.loaded((state) => ok({ items: [...state.webhooks.values()].map((webhook) => viewOf(state, webhook)) })),
    'webhook.show': async ({ params }) => desk.loaded(() => shown(params.webhook)),
    'webhook.create': async ({ body: { name, url, tells, kinds, project, notes } }, request) => {
      const secret = `whsec-${shownOnceBytes(request).toString('base64url')}`
      const made = await desk.change(request, () => {
        const { state } = desk
        if (state.webhooks.has(name))
          return fail(failure('name_taken', `There is a webhook ${name} already`, { hint: 'See `stead webhook list`' }))
        if (state.webhooks.size >= WEBHOOKS_MAX)
          return fail(failure('conflict', `There are ${WEBHOOKS_MAX} webhooks already`, { hint: 'Delete one first' }))
        if (project !== undefined && !projectExists(state, project)) return missing('project', project)
        if (tells === 'usage' && kinds.length > 0) return fail(NO_KINDS)
        const webhook: Webhook = {
          ...{ name, url, kinds, secret, createdAt: clock.wallMs() },
          ...(tells === 'usage' ? { tells } : {}),
          ...(project === undefined ? {} : { project }),
          ...(notes ? { notes } : {}),
        }
        return ok(changeOf('webhook.create', name, 0n, [put(KEYS.webhook(name), webhook)]))
      })
      if (!made.ok) return made
      await desk.started(made.value)
      const view = shown(name)
      if (!view.ok) return view
      // Of a repeated request whose key is too short: what the first one was answered nobody can say again.
      const kept = await withSecret(desk.context.store, name)
      if (!kept.ok) return kept
      if (kept.value.secret !== secret)
        return fail(failure('name_taken', `There is a webhook ${name} already`, { hint: 'Its secret was shown once' }))
      return ok({ ...view.value, secret })
    },
    'webhook.set': async ({ params: { webhook: name }, body }, request) => {
      const made = await desk.change(request, () => {
        const known = found(desk.state.webhooks, name, 'webhook')
        if (!known.ok) return known
        if (typeof body.project === 'string' && !projectExists(desk.state, body.project))
          return missing('project', body.project)
        if (known.value.value.tells === 'usage' && (body.kinds?.length ?? 0) > 0) return fail(NO_KINDS)
        const after = changed(known.value.value, body)
        const writes = [put(KEYS.webhook(name), after), ...triedAtOnce(desk.state, name)]
        return ok(changeOf('webhook.set', name, known.value.revision, writes))
      })
      if (!made.ok) return made
      await desk.started(made.value)
      return shown(name)
    },
    'webhook.delete': async ({ params: { webhook: name } }, request) => {
      const made = await desk.change(request, () => {
        const known = found(desk.state.webhooks, name, 'webhook')
        if (!known.ok) return known
        const writes = [remove(KEYS.webhook(name)), remove(KEYS.webhookDelivery(name))]
        return ok(changeOf('webhook.delete', name, known.value.revision, writes))
      })
      if (!made.ok) return made
      await desk.started(made.value)
      return ok()
    },
    'webhook.test': async ({ params }) => {
      const known = desk.loaded((state) => found(state.webhooks, params.webhook, 'webhook'))
      if (!known.ok) return known
      const begun = clock.monotonicMs()
      const status = await send(desk.context, known.value.value, greeting(known.value.value), 1)
      return status.ok ? ok({ status: status.value, tookMs: Math.round(clock.monotonicMs() - begun) }) : status
    },
  }
}

interface WebhookChange {
  readonly url?: string | undefined
  readonly kinds?: Webhook['kinds'] | undefined
  readonly project?: string | null | undefined
  readonly notes?: string | undefined
  readonly disabled?: boolean | undefined
}

function changed(webhook: Webhook, { url, kinds, project, notes, disabled }: WebhookChange): Webhook {
  const { project: oldProject, notes: oldNotes, disabled: was, ...rest } = webhook
  const of = project === undefined ? oldProject : (project ?? undefined)
  const words = notes ?? oldNotes
  return {
    ...{ ...rest, url: url ?? rest.url, kinds: kinds ?? rest.kinds },
    ...(of === undefined ? {} : { project: of }),
    ...(words ? { notes: words } : {}),
    ...((disabled ?? was) ? { disabled: true as const } : {}),
  }
}

/** Whoever has mended it need not wait until its turn comes again. */
function triedAtOnce({ webhookDeliveries }: ClusterState, name: string): Write[] {
  const delivery = webhookDeliveries.get(name)?.value
  if (!delivery?.failing) return []
  return [put(KEYS.webhookDelivery(name), { ...delivery, failing: { ...delivery.failing, nextAt: 0 } })]
}

function changeOf(kind: string, name: string, revision: bigint, writes: readonly Write[]): Change {
  const compares = [{ key: KEYS.webhook(name), modRevision: revision }]
  return { kind, subject: `webhook/${name}`, compares, writes, events: [] }
}

function viewOf({ webhookDeliveries }: ClusterState, { value: webhook, revision }: Versioned<Webhook>): WebhookView {
  const { name, url, tells = 'events', kinds, project = null, notes = '', disabled = false, createdAt } = webhook
  const delivery = webhookDeliveries.get(name)?.value
  const iso = (wallMs: number) => new Date(wallMs).toISOString()
  const failing = delivery?.failing
  return {
    ...{ name, url, tells, kinds: [...kinds], project, notes, disabled, createdAt: iso(createdAt) },
    deliveredAt: delivery?.deliveredAt === undefined ? null : iso(delivery.deliveredAt),
    failing: failing ? { ...failing, since: iso(failing.since), nextAt: iso(failing.nextAt) } : null,
    lost: delivery?.lost ?? 0,
    revision: String(revision),
  }
}
