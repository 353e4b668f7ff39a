/**
 * Refusals become events. A container that runs against a limit does so a thousand times a second: of each resource of
 * each container at most one event a minute is told, with how often it was refused since the one before.
 */
import type { EventDraft } from '../ha/plan.ts'
import type { LimitFailure } from '../model/container-counters.ts'
import { amountText } from '../model/container-limits.ts'
import { containerResource } from '../model/container-resources.ts'
import type { GuestId } from '../model/ids.ts'

const INTERVAL_MS = 60_000

interface Pending {
  readonly guest: GuestId
  untold: LimitFailure | undefined
  notBeforeMs: number
}

export class LimitNotices {
  readonly #pending = new Map<string, Pending>()

  /** What a look has found. */
  add(guest: GuestId, failures: readonly LimitFailure[]): void {
    for (const failure of failures) {
      const key = `${guest} ${failure.resource}`
      const known = this.#pending.get(key) ?? { guest, untold: undefined, notBeforeMs: -Infinity }
      const sum = failure.failures + (known.untold?.failures ?? 0)
      this.#pending.set(key, { ...known, untold: { ...failure, failures: sum } })
    }
  }

  /** What may be told now. A guest without a name is deleted, and nobody's concern. */
  due(nowMs: number, nameOf: (guest: GuestId) => string | undefined): EventDraft[] {
    const drafts: EventDraft[] = []
    for (const [key, pending] of this.#pending) {
      if (nowMs < pending.notBeforeMs) continue
      const name = nameOf(pending.guest)
      if (pending.untold === undefined || name === undefined) {
        this.#pending.delete(key)
        continue
      }
      drafts.push(limitReached(name, pending.untold))
      this.#pending.set(key, { ...pending, untold: undefined, notBeforeMs: nowMs + INTERVAL_MS })
    }
    return drafts
  }
}

function limitReached(name: string, { resource, failures, total, limit }: LimitFailure): EventDraft {
  const { unit, meaning } = containerResource(resource)
  const times = failures === 1 ? 'once' : `${failures} times`
  const bound = limit === null ? '' : `, limit ${amountText(limit, unit)}`
  return {
    kind: 'guest.limit-reached',
    subject: `guest/${name}`,
    message: `${name} was refused ${times} by ${resource} (${meaning})${bound}`,
    details: { resource, failures, total, ...(limit === null ? {} : { limit }) },
  }
}
