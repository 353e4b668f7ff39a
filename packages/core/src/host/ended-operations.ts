/** The last word on all operations about something that was done, or could not be. */
import type { Failure } from '../errors.ts'
import { KEYS } from '../model/keys.ts'
import { endOf, type Operation } from '../model/operation.ts'
import type { Write } from '../ports/store.ts'
import type { HostContext } from './host-context.ts'

type EndContext = Pick<HostContext, 'mirror' | 'clock'>
type End = Pick<Operation, 'state' | 'message'> & Partial<Pick<Operation, 'progress' | 'failure'>>

export function succeededOperationWrites(context: EndContext, subject: string, message: string): Write[] {
  return endWrites(context, subject, { state: 'succeeded', progress: 1, message })
}

export function failedOperationWrites(
  context: EndContext,
  subject: string,
  error: Failure,
  /** Those of this kind only; all when absent. */
  kind?: string,
): Write[] {
  const summary = { code: error.code, message: error.message, ...(error.hint ? { hint: error.hint } : {}) }
  return endWrites(context, subject, { state: 'failed', message: error.message, failure: summary }, kind)
}

function endWrites({ mirror, clock }: EndContext, subject: string, end: End, kind?: string): Write[] {
  return [...mirror.state.operations.values()]
    .map(({ value }) => value)
    .filter((operation) => operation.subject === subject && (kind === undefined || operation.kind === kind))
    .filter(({ state }) => state !== 'succeeded' && state !== 'failed')
    .map((operation): Write => {
      const ended: Operation = { ...operation, ...end, finishedAt: endOf(operation, clock.wallMs()) }
      return { kind: 'put', key: KEYS.operation(operation.id), value: JSON.stringify(ended) }
    })
}
