/** The cluster's authority while another one takes its place; absent at all other times. */
export interface AuthorityChange {
  /** What every host does now: trust both, show a certificate of the new one, trust the new one alone. */
  readonly phase: AuthorityPhase
  /** SHA-256 of the certificates, lower-case hexadecimal. */
  readonly former: string
  readonly next: string
  /** Of the new one, PEM. */
  readonly certificate: string
  /** Wall clock, ms since 1970; for people. */
  readonly begunAt: number
}

export const AUTHORITY_PHASES = ['trust', 'sign', 'drop'] as const
export type AuthorityPhase = (typeof AUTHORITY_PHASES)[number]
