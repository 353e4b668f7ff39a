/** Who did what, and what was refused. docs/internals/access.md says how the entries become a chain. */

/** A record as it was and as it became; only what differs, without secrets. */
export interface AuditChange {
  /** Its key without the prefix: `guests/<id>`. */
  readonly record: string
  readonly before?: unknown
  readonly after?: unknown
}

export interface AuditEntry {
  readonly id: string
  /** ISO 8601, UTC, of the host that was asked. */
  readonly time: string
  /** The host that was asked. */
  readonly host: string
  /** `root@h1`, a user, or `USER!TOKEN`. */
  readonly who: string
  /** The client's address; `local`: the host's own socket. */
  readonly from: string
  /** `change`: of records. `action`: something that changes none. `denial`: it was not permitted. */
  readonly kind: 'change' | 'action' | 'denial'
  /** `vm.create` of a change, else the endpoint. */
  readonly what: string
  readonly subject: string
  readonly project?: string
  readonly operation?: string
  readonly changes?: readonly AuditChange[]
  /** Why it was denied, or how often; how somebody has signed in. */
  readonly message?: string
}

/** One entry of a host's chain, with the text that the store held. */
export interface AuditLink {
  /** From 1, without a gap. */
  readonly sequence: number
  /** Of the store, decimal: the order of all hosts' chains. */
  readonly revision: string
  /** The entry as JSON, to the letter. */
  readonly text: string
  /** SHA-256, hexadecimal, of `linkInput`. */
  readonly hash: string
}

/** Up to where the outbox has been emptied: whoever lacks these entries asks another host for them. */
export interface AuditBase {
  readonly sequence: number
  readonly hash: string
}

export const AUDIT_BEGINNING = '0'.repeat(64)

/** What is hashed: all of a link, and by the hash of the one before all that came before. */
export function linkInput(previousHash: string, { sequence, revision, text }: Omit<AuditLink, 'hash'>): string {
  return `${previousHash}\n${sequence}\n${revision}\n${text}`
}
