/**
 * Port: this host's own protection and its view of the others. The real implementation is a separate process,
 * the guardian, with its kernel timer (the deadman): see docs/internals/failover.md.
 */
export interface PeerView {
  /** Per network: milliseconds since the peer's last heartbeat arrived; absent when none ever did. */
  readonly ageMs: Readonly<Record<string, number>>
  /** Of the peer's last heartbeat; empty when none ever arrived. */
  readonly bootId: string
  /**
   * What that peer said in its last heartbeat: for how many ms each other host had been silent towards it, on its
   * best network. A host is absent while the peer has no opinion of it (it started, or was frozen, too recently).
   */
  readonly hears: Readonly<Record<string, number>>
}

export interface HeartbeatView {
  /** Monotonic ms (CLOCK_MONOTONIC of the machine) at which the view was taken. */
  readonly at: number
  readonly peers: Readonly<Record<string, PeerView>>
  /** Ms since the observer started. A host never heard since then is judged only after a grace time. */
  readonly startedMs: number
  /**
   * Ms since the observer began to watch without interruption: since its start, or since it last woke up late
   * (it was frozen or starved). Silence is never counted from before that moment.
   */
  readonly observingMs: number
  /** True when the observer woke up so recently that its view says nothing yet: it must not make anyone suspect. */
  readonly stalled: boolean
  /** True when, for longer than the detection time, no peer is known to have heard this host (see self-fencing.ts). */
  readonly isolated: boolean
  /** Since its start the observer has armed the deadman at least once, or found that this host need not fence itself. */
  readonly guards?: true
  /** Generation of the heartbeats' key that the observer sends by and takes. */
  readonly keyGeneration?: number
  /** Ms until the deadman kills the guests, if nothing changes; absent when this host does not fence itself. */
  readonly deadlineInMs?: number
}

export interface Fence {
  /** The newest view; undefined while the guardian is gone or silent. */
  view(): HeartbeatView | undefined
  subscribe(listener: (view: HeartbeatView) => void): () => void
  /** Pid (in the agent's pid namespace) of the init of the namespace in which guests must be started. */
  guestNamespacePid(): Promise<number | undefined>
}
