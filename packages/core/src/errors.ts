/**
 * Every expected failure of the product, declared once: its code (stable, documented), its HTTP status
 * and the exit code of the command line. The message says what happened to this request, the hint what
 * the administrator can do.
 */
export const FAILURES = {
  bad_request: {
    status: 400,
    exit: 2,
    title: 'The request is not valid',
    hint: 'Correct the request; `--help` and GET /v1/openapi.json say what it may hold',
  },
  unauthorized: {
    status: 401,
    exit: 3,
    title: 'Who you are is not known',
    hint: 'Sign in with `stead login`, or use the context file that `stead lab up` or your administrator wrote',
  },
  forbidden: {
    status: 403,
    exit: 3,
    title: 'Not permitted',
    hint: 'Ask an administrator of the cluster for the permission',
  },
  not_found: {
    status: 404,
    exit: 4,
    title: 'No such object',
    hint: 'List what there is with `stead vm list`, `stead host list`, `stead volume list` or `stead image list`',
  },
  name_taken: { status: 409, exit: 5, title: 'The name is in use', hint: 'Choose another name' },
  conflict: {
    status: 409,
    exit: 5,
    title: 'The object is in a state that does not allow this',
    hint: 'Look at its present state, wait until work on it has ended, then try again',
  },
  changed_meanwhile: {
    status: 412,
    exit: 5,
    title: 'The object changed meanwhile',
    hint: 'Look at it again, then repeat the change',
  },
  key_reused: {
    status: 422,
    exit: 2,
    title: 'The Idempotency-Key was used for another request',
    hint: 'Make a new key for each change',
  },
  no_capacity: {
    status: 422,
    exit: 6,
    title: 'No host or pool can hold this',
    hint: 'Ask for less, or free or add room',
  },
  admission: {
    status: 409,
    exit: 6,
    title: 'After a loss, guests would have no place',
    hint: 'Free or add room first; `--accept-breach` makes the change all the same',
  },
  quota: {
    status: 409,
    exit: 6,
    title: 'The project may not have so much',
    hint: 'See `stead project show`; delete what is not needed, or ask an administrator for more',
  },
  foreseen: {
    status: 200,
    exit: 0,
    title: 'What would happen; nothing was changed',
    hint: 'Leave out --what-if to make the change',
  },
  what_if_required: {
    status: 428,
    exit: 5,
    title: 'Changes are taken only from somebody who has seen what they will do',
    hint: 'Repeat the command with --what-if, then with --foreseen and the token that it shows',
  },
  invalid_image: { status: 422, exit: 6, title: 'The file cannot be used', hint: 'Check the file, or make it again' },
  waits_for_host: {
    status: 409,
    exit: 7,
    title: 'The only current copy of the data is on a host that is down',
    hint: 'Bring that host back; `--accept-data-loss` is the way out when it never will be',
  },
  stale_epoch: {
    status: 409,
    exit: 7,
    title: 'A newer epoch has been granted',
    hint: 'Nothing needs to be done: the newer run goes on',
  },
  replica_not_current: {
    status: 409,
    exit: 7,
    title: 'The replica may not serve',
    hint: 'It is brought up to date as soon as a current replica can be reached',
  },
  no_quorum: {
    status: 503,
    exit: 8,
    title: 'The cluster cannot decide at the moment',
    hint: 'Bring hosts back until a majority of the voters is up; see `stead host list`',
  },
  store_timeout: {
    status: 503,
    exit: 8,
    title: 'The cluster store did not answer in time; the outcome is unknown',
    hint: 'Try again: a repeated request is not done twice',
  },
  host_unreachable: {
    status: 503,
    exit: 8,
    title: 'A host did not answer',
    hint: 'See `stead host list`; check its power and its network',
  },
  secrets_locked: {
    status: 503,
    exit: 8,
    title: 'This host has not the key of the secrets yet',
    hint: 'It asks the other hosts for their shares of it: at least two members must be up, one of them a host that runs guests; see `stead cluster show`',
  },
  realm_unreachable: {
    status: 503,
    exit: 8,
    title: 'Who should say who you are does not answer',
    hint: 'Try again; users of the cluster itself can sign in meanwhile. `stead realm test` tells administrators more',
  },
  too_many_requests: {
    status: 429,
    exit: 8,
    title: 'Too many requests',
    hint: 'Wait a moment, then try again',
  },
  hypervisor: {
    status: 500,
    exit: 9,
    title: 'The hypervisor refused',
    hint: "See the agent's log on the guest's host",
  },
  no_guest_agent: {
    status: 409,
    exit: 5,
    title: 'No agent answers inside the guest',
    hint: 'Install and start qemu-guest-agent in the guest; a guest that is still booting has none yet',
  },
  storage: {
    status: 500,
    exit: 9,
    title: 'The storage daemon refused',
    hint: "See the agent's log on the replica's host",
  },
  timeout: {
    status: 504,
    exit: 10,
    title: 'Not finished in time; the work goes on',
    hint: 'See `stead operation list`, or wait longer with --timeout',
  },
  internal: {
    status: 500,
    exit: 1,
    title: 'An error inside Stead',
    hint: "See the agent's log; this is a defect of Stead",
  },
} as const satisfies Record<string, { status: number; exit: number; title: string; hint: string }>

export type FailureCode = keyof typeof FAILURES

export interface Failure {
  readonly code: FailureCode
  /** What happened, in one sentence, with the names the administrator used. */
  readonly message: string
  /** What the administrator can do about it; `hintOf` has the code's own when this is absent. */
  readonly hint?: string
  /** What lies beneath; never dropped, shown in the log and with `--json`. */
  readonly cause?: unknown
  /** When asking again has a chance. */
  readonly retryAfterMs?: number
}

export function failure(
  code: FailureCode,
  message: string,
  extra: { hint?: string; cause?: unknown; retryAfterMs?: number } = {},
): Failure {
  return { code, message, ...extra }
}

export function hintOf(value: Failure): string {
  return value.hint ?? FAILURES[value.code].hint
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
