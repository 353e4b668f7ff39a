/** Port: time. Decisions use `monotonicMs` only; `wallMs` is for people and may jump. */
export interface Clock {
  /** Milliseconds since some fixed moment, never backwards, fractional. */
  monotonicMs(): number
  /** Milliseconds since 1970, UTC. */
  wallMs(): number
  /** Ends early, without a failure, when the signal is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** Port: randomness. */
export interface Random {
  /** UUID version 4. */
  uuid(): string
  /** 0 <= x < 1. */
  fraction(): number
}
