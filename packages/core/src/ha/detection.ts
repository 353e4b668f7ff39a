/**
 * Detection: who is gone? Built on direct heartbeats, apart from leases, which are slow witnesses. A wrong
 * suspicion costs a guest restart, never data: storage refuses old epochs whatever is decided here.
 */
import type { HostId } from '../model/ids.ts'
import type { HeartbeatView } from '../ports/fence.ts'

/**
 * `heard`: some network carried a heartbeat within the detection time (or it is too early to say otherwise).
 * `silent-here`: this observer hears nothing, but no majority says the same.
 * `suspected`: this observer and a majority hear nothing.
 */
export type HostVerdict = 'heard' | 'silent-here' | 'suspected'

/** A host never heard since the observer started may still be booting: it gets this long beyond the detection time. */
export const START_UP_GRACE_MS = 3000

export interface DetectionInput {
  readonly self: HostId
  readonly view: HeartbeatView
  /** All configured hosts, witness and self included, dead or alive. */
  readonly members: readonly HostId[]
  readonly detectionMs: number
  /** Milliseconds; for tests. */
  readonly startUpGraceMs?: number
}

/**
 * For how many ms the observer of this view has heard nothing of the host on any network. Undefined: no opinion yet,
 * because the host was never heard and the grace time after the observer's own start has not passed. Guardians put
 * the same number into their heartbeats, as what they say of others.
 */
export function silenceMs(
  view: Pick<HeartbeatView, 'peers' | 'startedMs' | 'observingMs'>,
  host: HostId,
  startUpGraceMs: number = START_UP_GRACE_MS,
): number | undefined {
  let best = Infinity
  const ages = view.peers[host]?.ageMs
  for (const network in ages) best = Math.min(best, ages[network] ?? Infinity)
  if (best < Infinity) return Math.min(best, view.observingMs)
  const silence = Math.min(view.startedMs - startUpGraceMs, view.observingMs)
  return silence > 0 ? silence : undefined
}

/** Smallest number that is more than half of `voters`. */
export function majorityOf(voters: number): number {
  return Math.floor(voters / 2) + 1
}

/**
 * Judges every member except self.
 *
 * Who is asked about a target: all configured members other than the target, self included. Suspicion needs a
 * majority of *those*, counted over the configured ones, so that a member that is itself silent counts as one that
 * says nothing, never as one that agrees. A statement counts only from a peer that was heard within half the
 * detection time, and its age is added: "silent for 900 ms", said 150 ms ago, is 1050 ms.
 *
 * - Two hosts and a witness (3 members): 2 are asked about a dead host, a majority of 2 is 2. The living host and
 *   the witness must both hear nothing. A host cut off alone hears nobody, but has only its own voice (1 of 2): it
 *   suspects no one.
 * - Three hosts: the same, 2 of 2. When two die at once the third suspects no one; it has no quorum either.
 * - Five hosts: 4 are asked, 3 must agree. With two dead, each is suspected by the 3 living (the other dead one says
 *   nothing: 3 of 4). Cut into 2 and 3, the side of 3 suspects the 2; the side of 2 suspects no one (2 of 4).
 * - An even number cut in halves: each half suspects the other (of 4: 2 of 3). Only the half with the store's quorum
 *   can commit anything, and with an odd number of voters there is at most one.
 * - Two hosts without a witness: 1 is asked, 1 suffices. That is for the screen; nothing can be committed without
 *   the store's quorum.
 *
 * A host that says of itself that it hears nothing of an observer counts as silent to that observer: what it sends may
 * arrive while nothing reaches it.
 *
 * An observer that has just woken up (`stalled`), or that started less than detection + grace ago and never heard
 * the target, calls it heard.
 */
export function hostVerdicts(input: DetectionInput): Map<HostId, HostVerdict> {
  const verdicts = new Map<HostId, HostVerdict>()
  for (const host of input.members) if (host !== input.self) verdicts.set(host, verdictOn(input, host))
  return verdicts
}

/** The same for one of them. */
export function verdictOn(input: DetectionInput, host: HostId): HostVerdict {
  if (!silentHere(input, host)) return 'heard'
  return heldSuspected(input, host) ? 'suspected' : 'silent-here'
}

/** Hosts that a majority holds silent, whether or not this observer hears them: they cannot coordinate. */
export function silentToMajority(input: DetectionInput): Set<HostId> {
  return new Set(input.members.filter((host) => host !== input.self && heldSuspected(input, host)))
}

/**
 * Who should coordinate, as seen from here: the first host in the order of succession that this host hears and that
 * no majority holds suspected; self when its own turn comes. Two observers may disagree for a moment: the store's
 * transactions compare the coordinator's claim, so a wrong answer costs a failed transaction, nothing more.
 *
 * @param input `order`: all members in the order of succession. `verdicts`: of `hostVerdicts`. `silentToMajority`: of
 * the function of that name; without it a host that only this observer still hears keeps its turn.
 */
export function coordinatorByOrder(input: {
  readonly self: HostId
  readonly order: readonly HostId[]
  readonly verdicts: ReadonlyMap<HostId, HostVerdict>
  readonly silentToMajority?: ReadonlySet<HostId>
}): HostId {
  for (const host of input.order) {
    if (host === input.self) return host
    if (input.verdicts.get(host) === 'heard' && !input.silentToMajority?.has(host)) return host
  }
  return input.self
}

function silentHere(input: DetectionInput, host: HostId): boolean {
  const { self, view, detectionMs, startUpGraceMs } = input
  if (view.stalled) return false
  const silence = silenceMs(view, host, startUpGraceMs)
  return (silence !== undefined && silence > detectionMs) || isDeafTo(input, host, self)
}

/**
 * True when the host itself says, in heartbeats that do arrive, that it has heard nothing of the observer for the
 * detection time. A host that still sends but receives nothing has ended its guests by itself; to its peers, who hear
 * it as ever, it would look alive for as long as the cut lasts.
 */
function isDeafTo(
  { self, view, detectionMs, startUpGraceMs }: DetectionInput,
  host: HostId,
  observer: HostId,
): boolean {
  const said = view.peers[host]?.hears[observer]
  const age = silenceMs(view, host, startUpGraceMs)
  if (said === undefined || age === undefined || age > detectionMs / 2) return false
  // That it did not hear us before we were there proves nothing: a host that boots is not told that nobody hears it.
  const silence = observer === self ? Math.min(said + age, view.observingMs) : said + age
  return silence > detectionMs
}

/** A dead observer is heard by nobody: that says nothing about the others. */
function isHeardHere({ view, detectionMs, startUpGraceMs }: DetectionInput, host: HostId): boolean {
  const silence = silenceMs(view, host, startUpGraceMs)
  return silence !== undefined && silence <= detectionMs
}

/** Whether a majority of all members other than the target, self included, hears nothing of it. */
function heldSuspected(input: DetectionInput, target: HostId): boolean {
  const { self, view, members, detectionMs, startUpGraceMs } = input
  let asked = 0
  let silent = 0
  for (const observer of members) {
    if (observer === target) continue
    asked++
    if (observer === self) {
      if (silentHere(input, target)) silent++
      continue
    }
    if (isHeardHere(input, observer) && isDeafTo(input, target, observer)) {
      silent++
      continue
    }
    const statementAge = silenceMs(view, observer, startUpGraceMs)
    const said = view.peers[observer]?.hears[target]
    if (said === undefined || statementAge === undefined || statementAge > detectionMs / 2) continue
    if (said + statementAge > detectionMs) silent++
  }
  return silent >= majorityOf(asked)
}
