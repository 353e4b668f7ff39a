/** The last word on all operations about something that could not be done. */
import type { Failure } from '../errors.ts'
import { KEYS } from '../model/keys.ts'
import { endOf } from '../model/operation.ts'
import type { Write } from '../ports/store.ts'
import type { HostContext } from './host-context.ts'

export function failedOperationWrites(
  { mirror, clock }: Pick<HostContext, 'mirror' | 'clock'>,
  subject: string,
  error: Failure,
  /** Those of this kind only; all when absent. */
  kind?: string,
): Write[] {
  const summary = { code: error.code, message: error.message, ...(error.hint ? { hint: error.hint } : {}) }
  return [...mirror.state.operations.values()]
    .map(({ value }) => value)
    .filter((operation) => operation.subject === subject && (kind === undefined || operation.kind === kind))
    .filter(({ state }) => state !== 'succeeded' && state !== 'failed')
    .map((operation) => {
      const end = {
        state: 'failed',
        message: error.message,
        failure: summary,
        finishedAt: endOf(operation, clock.wallMs()),
      }
      return { kind: 'put', key: KEYS.operation(operation.id), value: JSON.stringify({ ...operation, ...end }) }
    })
}
