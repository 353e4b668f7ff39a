/**
 * Every expected failure of the product, declared once: its code (stable, documented), its HTTP status
 * and the exit code of the command line. The message says what happened to this request, the hint what
 * the administrator can do.
 */
export const FAILURES = {
  bad_request: { status: 400, exit: 2, title: 'The request is not valid' },
  unauthorized: { status: 401, exit: 3, title: 'Who you are is not known' },
  forbidden: { status: 403, exit: 3, title: 'Not permitted' },
  not_found: { status: 404, exit: 4, title: 'No such object' },
  name_taken: { status: 409, exit: 5, title: 'The name is in use' },
  conflict: { status: 409, exit: 5, title: 'The object is in a state that does not allow this' },
  changed_meanwhile: { status: 412, exit: 5, title: 'The object changed meanwhile' },
  no_capacity: { status: 422, exit: 6, title: 'No host or pool can hold this' },
  invalid_image: { status: 422, exit: 6, title: 'The file cannot be used' },
  waits_for_host: { status: 409, exit: 7, title: 'The only current copy of the data is on a host that is down' },
  stale_epoch: { status: 409, exit: 7, title: 'A newer epoch has been granted' },
  replica_not_current: { status: 409, exit: 7, title: 'The replica may not serve' },
  no_quorum: { status: 503, exit: 8, title: 'The cluster cannot decide at the moment' },
  store_timeout: { status: 503, exit: 8, title: 'The cluster store did not answer in time; the outcome is unknown' },
  host_unreachable: { status: 503, exit: 8, title: 'A host did not answer' },
  hypervisor: { status: 500, exit: 9, title: 'The hypervisor refused' },
  storage: { status: 500, exit: 9, title: 'The storage daemon refused' },
  timeout: { status: 504, exit: 10, title: 'Not finished in time; the work goes on' },
  internal: { status: 500, exit: 1, title: 'An error inside Stead' },
} as const satisfies Record<string, { status: number; exit: number; title: string }>

export type FailureCode = keyof typeof FAILURES

export interface Failure {
  readonly code: FailureCode
  /** What happened, in one sentence, with the names the administrator used. */
  readonly message: string
  /** What the administrator can do about it. */
  readonly hint?: string
  /** What lies beneath; never dropped, shown in the log and with `--json`. */
  readonly cause?: unknown
}

export function failure(code: FailureCode, message: string, extra: { hint?: string; cause?: unknown } = {}): Failure {
  return { code, message, ...extra }
}

/** A failure thrown across an API that can only throw (HTTP handlers, generators). */
export class FailureError extends Error {
  override name = 'FailureError'
  readonly failure: Failure
  constructor(value: Failure) {
    super(value.message, { cause: value.cause })
    this.failure = value
  }
}
