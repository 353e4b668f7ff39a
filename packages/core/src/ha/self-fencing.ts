/**
 * Self-fencing: until when may this host's guests live without another proof that the cluster can reach it?
 *
 * The rule is about evidence, never about the absence of bad news. Two kinds of evidence count, each dated by the
 * moment at which *this host sent* what was answered, so that delays, queues and frozen processes can only make it
 * older, never younger:
 *
 * - lease: a keepalive that the store answered, followed by a linearizable read that it answered too (a cut-off
 *   etcd leader answers keepalives for up to an election timeout, but no linearizable read);
 * - contact: a peer's heartbeat that repeats a stamp of one of our own heartbeats. It proves both directions.
 *
 *     guests may live until  max(lease sent, contact sent) + TTL - margin
 *
 * The kernel's timer is armed to exactly that moment at every tick. A host that is cut off at time t has no evidence
 * younger than t, so its timer fires at t + TTL - margin at the latest, whether or not any process of the host still
 * runs; the margin pays for the killing itself (measured: 303 processes in under 0.5 s) and for clocks that drift.
 * **Hence: from isolation to the last guest dead takes at most the lease's TTL.**
 *
 * Loss of the store's quorum alone does not stop guests: the peers' contacts keep coming, the guests' storage is
 * still theirs, and without a quorum nobody can be granted them elsewhere. Nor does a cut between this host and its
 * peers while the lease is renewed: then the majority side still sees this host in the store.
 *
 * A host with fewer than two peers never fences itself. Alone there is nobody to take over; of a pair without a
 * witness, the other one has no quorum and can take over only after an administrator's `--confirm-dead`. Stopping
 * the survivor's guests because the other host burnt down would turn one loss into two.
 *
 * While HA is disarmed no host fences itself. A host that is cut off when HA is armed again does not hear of it and goes
 * on; its guests may be recovered elsewhere all the same, since storage refuses their older epochs.
 */
import type { HeartbeatView } from '../ports/fence.ts'
export interface SelfFencingInput {
  /** Monotonic ms, as all moments here. */
  readonly now: number
  /** When the newest answered lease renewal was sent; undefined when there was none since the guardian's start. */
  readonly leaseSentAt: number | undefined
  /** When the newest of our heartbeats that a peer has repeated was sent; undefined when there was none. */
  readonly contactSentAt: number | undefined
  /** Configured hosts other than this one, witness included, dead or alive. */
  readonly peerCount: number
  readonly leaseTtlMs: number
  /** Reserve for the killing itself; less than the TTL. */
  readonly marginMs: number
  readonly detectionMs: number
  /** False while HA is disarmed: nobody takes over anything then, and nobody need end. */
  readonly armed?: boolean
}

export interface SelfFencingDecision {
  /** `renew`: arm the kernel's timer to `until`. `let-fire`: there is no evidence that could extend it. */
  readonly kind: 'renew' | 'let-fire'
  /** Monotonic ms at which the guests die if nothing changes; undefined when there never was any evidence. */
  readonly until: number | undefined
  /** No peer has confirmed for longer than the detection time that it hears this host. */
  readonly isolated: boolean
  /** False when this host cannot be taken over and so does not fence itself. */
  readonly fencesItself: boolean
  readonly reason: 'cannot-be-taken-over' | 'disarmed' | 'lease' | 'contact' | 'deadline-passed' | 'no-evidence'
}

/** Fewer peers than this can never outvote this host. */
const PEERS_THAT_CAN_TAKE_OVER = 2

export function deadmanDecision(input: SelfFencingInput): SelfFencingDecision {
  const { now, leaseSentAt, contactSentAt, leaseTtlMs, marginMs } = input
  const grantMs = leaseTtlMs - marginMs
  const isolated = input.peerCount > 0 && (contactSentAt === undefined || now - contactSentAt > input.detectionMs)
  if (input.peerCount < PEERS_THAT_CAN_TAKE_OVER) {
    return { kind: 'renew', until: now + grantMs, isolated, fencesItself: false, reason: 'cannot-be-taken-over' }
  }
  if (input.armed === false)
    return { kind: 'renew', until: now + grantMs, isolated, fencesItself: false, reason: 'disarmed' }
  const common = { isolated, fencesItself: true }
  // A moment in the future is no evidence: a broken peer repeated something that we have not sent yet.
  const lease = leaseSentAt !== undefined && leaseSentAt <= now ? leaseSentAt : -Infinity
  const contact = contactSentAt !== undefined && contactSentAt <= now ? contactSentAt : -Infinity
  const newest = Math.max(lease, contact)
  if (newest === -Infinity) return { kind: 'let-fire', until: undefined, reason: 'no-evidence', ...common }
  const until = newest + grantMs
  if (until <= now) return { kind: 'let-fire', until, reason: 'deadline-passed', ...common }
  return { kind: 'renew', until, reason: lease >= contact ? 'lease' : 'contact', ...common }
}

/**
 * Whether guests may be started on this host: its guardian lives, and has armed what ends them when the host is cut off, or
 * need not. One that stands still since the host has booted never has.
 */
export function isGuarded(view: HeartbeatView | undefined): boolean {
  return view?.guards === true
}
