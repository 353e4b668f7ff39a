/** Views of several kinds at once, and their changes. */
import { LIVE_KINDS, type LiveKind } from '@stead/api/endpoints/live-views.ts'
import { ok } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Desk } from './desk.ts'
import type { LiveQuery } from './live-views.ts'

export function liveViewEndpoints(desk: Desk): Pick<ApiBackend, 'view.list'> {
  return {
    'view.list': async ({ query }, { signal }) =>
      desk.loaded(() =>
        ok(query.follow ? desk.liveViews.follow(wantedOf(query), signal) : desk.liveViews.list(wantedOf(query))),
      ),
  }
}

interface Query {
  readonly kinds?: string | undefined
  readonly fields?: string | undefined
  readonly since?: string | undefined
}

function wantedOf({ kinds, fields, since }: Query): LiveQuery {
  const names = (kinds?.split(',') ?? Object.keys(LIVE_KINDS)) as LiveKind[]
  const chosen = new Map<LiveKind, Set<string>>()
  for (const field of fields?.split(',') ?? []) {
    const [kind = '', name = ''] = field.split('.')
    chosen.set(kind as LiveKind, (chosen.get(kind as LiveKind) ?? new Set()).add(name))
  }
  return { kinds: new Set(names), fields: chosen, ...(since === undefined ? {} : { since }) }
}
