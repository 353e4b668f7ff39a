/** What happened, and long work. */
import { failure } from '@stead/core/errors.ts'
import { operationOutcome } from '@stead/core/ha/operations.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import type { OperationId } from '@stead/core/model/ids.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { History } from '../history.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Desk } from './desk.ts'
import { operationView } from './views.ts'

const EVENTS_LISTED = 1_000
/** An operation that another host has just begun may not have come here yet. */
const OPERATION_COMES_MS = 1_000

export function historyEndpoints(desk: Desk): Pick<ApiBackend, 'event.list' | 'operation.list' | 'operation.show'> {
  const { mirror, history, clock } = desk.context
  return {
    'event.list': async ({ query }, { signal }) => {
      const { since, kinds, limit, follow } = query
      const wanted = kinds?.split(',')
      const items = history.list({
        ...(since === undefined ? {} : { since }),
        ...(wanted ? { kinds: wanted } : {}),
        limit: limit ?? EVENTS_LISTED,
      })
      if (!follow) return ok({ items: items.map(cloneEvent) })
      return ok(followEvents(history, items, wanted, signal))
    },

    'operation.list': async () =>
      desk.loaded((state) =>
        ok({
          items: [...state.operations.values()]
            .map(({ value }) => operationView(desk.view(), value))
            .toSorted((a, b) => b.startedAt - a.startedAt),
        }),
      ),
    'operation.show': async ({ params, query }) => {
      const find = () => mirror.state.operations.get(params.operation as OperationId)?.value
      if (!find()) await mirror.until(() => find() !== undefined, clock.sleep(OPERATION_COMES_MS))
      const operation = find()
      if (!operation)
        return desk.loaded(() =>
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
      return ok(operationView(desk.view(), find() ?? operation))
    },
  }
}

/** As the contract's types want it: nothing in it is read-only. */
export function cloneEvent(event: ClusterEvent) {
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
