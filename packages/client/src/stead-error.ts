export interface Refusal {
  readonly code: string
  readonly message: string
  readonly hint?: string
  readonly cause?: unknown
}

/** Why the cluster refused, or that none of its hosts answered. */
export class SteadError extends Error {
  override name = 'SteadError'
  /** Stable: `not_found`, `quota`, `changed_meanwhile`, … */
  readonly code: string
  /** What an administrator can do. */
  readonly hint: string | undefined

  constructor({ code, message, hint, cause }: Refusal) {
    super(message, { cause })
    this.code = code
    this.hint = hint
  }
}
