/** What a heartbeat says, apart from how it is written on the wire. */

/** What the sender knows of one other host. */
export interface Statement {
  /** Ms since the sender heard it on its best network; -1: no opinion. */
  readonly silenceMs: number
  /** Stamps last received from that host, newest boot last: `seq` and the boot's tag. At most two. */
  readonly echoes: readonly Echo[]
}

export interface Echo {
  readonly seq: number
  readonly bootTag: string
}

export interface Heartbeat {
  readonly from: string
  readonly bootId: string
  /** The sender's CLOCK_MONOTONIC in whole ms when it sent: a peer that repeats it tells when the sender was heard. */
  readonly seq: number
  readonly statements: ReadonlyMap<string, Statement>
}
