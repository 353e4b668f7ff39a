/**
 * Where every request is dealt with: the records as this host's copy has them, looked up by name, and changes to them
 * that can be repeated. Reads come from the copy, so that any host answers.
 */
import { failure } from '@stead/core/errors.ts'
import type { Verdict } from '@stead/core/ha/coordinator.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { EventWriter } from '@stead/core/host/event-writer.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { Host } from '@stead/core/model/host.ts'
import type { BlobId, GuestId, HostId, VolumeId } from '@stead/core/model/ids.ts'
import type { Operation } from '@stead/core/model/operation.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { guestByName, isActive } from '@stead/core/model/records.ts'
import type { Clock, Random } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { PowerSwitch } from '@stead/core/ports/power-switch.ts'
import type { Compare, Store } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { AuditWriter } from '../audit/audit-writer.ts'
import type { ClusterAudit } from '../audit/cluster-audit.ts'
import type { BlobStore } from '../blobs/blob-store.ts'
import type { ConsoleRouter } from '../console/console-router.ts'
import type { ClusterDecisions } from '../cluster-decisions.ts'
import type { DumpedContainer, DumpOrder } from '../container/container-dumps.ts'
import type { History } from '../history.ts'
import type { ClusterMetrics } from '../metrics/cluster-metrics.ts'
import type { UsageLog } from '../metering/usage-log.ts'
import type { ClusterNetworks } from '../network/host-networks.ts'
import type { HostAdmission } from '../membership/host-admission.ts'
import type { LoneHost } from '../membership/lone-host.ts'
import type { AuthorityReplacement } from '../membership/replace-authority.ts'
import type { RequestContext } from '../http/backend.ts'
import { admitChange, isJudged } from './admission-check.ts'
import { ADMISSION_TRIES, AdmissionTurns, takingTurn } from './admission-turn.ts'
import { givesAddresses, withOwnAddresses } from './address-turn.ts'
import { commitChange, type Change } from './change.ts'
import type { AskCounters } from './counter-endpoints.ts'
import { LiveViews } from './live-views.ts'
import { projectsAddedTo, withinQuotas } from './quota-check.ts'
import { foreseeChange, requireForeseen } from './what-if.ts'
import type { AskableAgent } from './guest-agent-endpoints.ts'
import type { AskMemoryUse } from './guest-memory.ts'
import type { AskHeldSnapshots } from './snapshot-endpoints.ts'
import { operationView, type ViewContext } from './views.ts'

const OWN_COPY_MS = 1_000

export interface BackendContext {
  readonly self: HostId
  readonly store: Store
  readonly mirror: ClusterMirror
  readonly events: EventWriter
  readonly history: History
  readonly decisions: Pick<ClusterDecisions, 'list' | 'find'>
  readonly blobs: BlobStore
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly audit: AuditWriter
  readonly usage: Pick<UsageLog, 'list' | 'network' | 'open'>
  readonly auditChain: Pick<ClusterAudit, 'log' | 'verify'>
  readonly verdicts: () => ReadonlyMap<HostId, Verdict>
  /** Bytes that the stale replicas of a volume lack, asked of its source; undefined when nobody can tell now. */
  readonly lagBytes: (volume: VolumeId) => Promise<number | undefined>
  /** The guest's console, from whichever host has it. */
  readonly console: (
    guest: Guest,
    offset: number,
    follow: boolean,
    signal: AbortSignal,
  ) => Promise<Result<AsyncIterable<Uint8Array>>>
  /** The agent inside the guest, asked on the host where the guest runs. */
  readonly guestAgentOf: (guest: Guest) => AskableAgent
  readonly memoryUseOf: AskMemoryUse
  readonly counters: AskCounters
  readonly metrics: Pick<ClusterMetrics, 'series' | 'latest' | 'own'>
  readonly networks: Pick<ClusterNetworks, 'of' | 'measured'>
  /** Screens, keyboards and serial ports of all guests. */
  readonly consoles: Pick<ConsoleRouter, 'ticket' | 'paste' | 'screenshot'>
  /** What a host's pools hold of snapshots. */
  readonly heldSnapshots: AskHeldSnapshots
  readonly checkKernel: (path: string) => Promise<Result<unknown>>
  /** A container as a file in that host's blobs. */
  readonly dumpContainer: (host: HostId, order: DumpOrder) => Promise<Result<DumpedContainer>>
  /** Has all hosts that are up and run guests fetch these files, so that a failover finds them. */
  readonly spreadBlobs: (blobs: readonly BlobId[]) => Promise<void>
  /** Who is to join, and who is to leave. */
  readonly admission: Pick<HostAdmission, 'invite' | 'remove'>
  /** What signs the certificates of the hosts. */
  readonly authority: Pick<AuthorityReplacement, 'show' | 'begin'>
  /** `failover --confirm-dead`, which must work without the store. */
  readonly confirmDead: (host: HostId) => Promise<Result<void>>
  /** `cluster recover`, which must too. */
  readonly loneHost: Pick<LoneHost, 'recover'>
  /** Absent outside of a lab. */
  readonly power?: PowerSwitch
  /** What clients of this host's public port are to believe. */
  readonly webAuthority: () => Promise<Result<{ readonly certificate: string; readonly fingerprint: string }>>
}

export class Desk {
  readonly context: BackendContext
  readonly liveViews: LiveViews
  readonly #admissionTurns: AdmissionTurns
  /** A queue of its own: what admission judges waits for its turn there before it waits here. */
  readonly #projectTurns: AdmissionTurns

  constructor(context: BackendContext) {
    this.context = context
    this.liveViews = new LiveViews({ ...context, view: () => this.view() })
    this.#admissionTurns = new AdmissionTurns(context)
    this.#projectTurns = new AdmissionTurns(context)
  }

  get state(): ClusterState {
    return this.context.mirror.state
  }

  /** Hosts that are up, by the records and by what this host hears. */
  isUp = (host: HostId): boolean =>
    this.state.statuses.get(host)?.value.state === 'online' &&
    (host === this.context.self || this.context.verdicts().get(host) === 'heard')

  view(): ViewContext {
    return { state: withUnreported(this.context.mirror, this.context.self), verdicts: this.context.verdicts() }
  }

  loaded<T>(answer: (state: ClusterState) => Result<T>): Result<T> {
    if (this.context.mirror.loaded) return answer(this.state)
    return fail(
      failure('no_quorum', `${this.context.self} has not reached the cluster's store yet`, {
        hint: 'Wait a moment; if it stays so, a majority of the hosts is down',
      }),
    )
  }

  findGuest(nameOrId: string): Result<Versioned<Guest>> {
    return this.loaded((state) => {
      const guest = state.guests.get(nameOrId as GuestId) ?? guestByName(state, nameOrId)
      return guest
        ? ok(guest)
        : fail(failure('not_found', `There is no guest ${nameOrId}`, { hint: 'See `stead vm list`' }))
    })
  }

  findHost(name: string): Result<Versioned<Host>> {
    return this.loaded((state) => {
      const host = state.hosts.get(name as HostId)
      return host
        ? ok(host)
        : fail(
            failure('not_found', `There is no host ${name}`, {
              hint: `The hosts are ${[...state.hosts.keys()].toSorted().join(', ')}`,
            }),
          )
    })
  }

  async change(
    request: RequestContext,
    make: () => Result<Change> | Promise<Result<Change>>,
    tries?: number,
  ): Promise<Result<Operation>> {
    if (request.whatIf) return foreseeChange(this, async () => this.#inTurns(await make(), 'look'))
    const makeForeseen = async () => {
      const change = await make()
      if (!change.ok || request.isUnforeseeable || !this.state.clusterPolicy?.value.whatIfRequired) return change
      const seen = requireForeseen(this, change.value, request.foreseen)
      return seen.ok ? change : seen
    }
    const commit = (turns: Turns, most?: number) =>
      commitChange(this.context, request, async () => this.#inTurns(await makeForeseen(), turns), most)
    const first = await commit('refuse', tries)
    if (first.ok || first.error !== NEEDS_TURN) return first
    return this.#projectTurns.inTurn(() => commit('take', ADMISSION_TRIES))
  }

  /** What two changes that are made at a time must not both do. */
  async #inTurns(made: Result<Change>, how: Turns): Promise<Result<Change>> {
    return this.#withinQuotas(await this.#withOwnAddresses(made, how), how)
  }

  async #withOwnAddresses(made: Result<Change>, how: Turns): Promise<Result<Change>> {
    if (!made.ok || !givesAddresses(this.state, made.value.writes)) return made
    if (how === 'refuse') return fail(NEEDS_TURN)
    const turn = how === 'take' ? await this.#projectTurns.begin(KEYS.addressTurn) : undefined
    if (turn && !turn.ok) return turn
    return withOwnAddresses(this.state, made.value, turn?.value)
  }

  async #withinQuotas(made: Result<Change>, how: Turns): Promise<Result<Change>> {
    if (!made.ok) return made
    const projects = projectsAddedTo(this.state, made.value.writes)
    const turning = how === 'look' ? [] : projects.filter((name) => this.state.projects.has(name))
    if (turning.length > 0 && how === 'refuse') return fail(NEEDS_TURN)
    const turns: Compare[] = []
    for (const name of turning) {
      const turn = await this.projectTurn(name)
      if (!turn.ok) return turn
      turns.push(turn.value)
    }
    return withinQuotas(this.state, made.value, projects, turns)
  }

  changeGuest(
    nameOrId: string,
    request: RequestContext,
    make: (guest: Versioned<Guest>) => Result<Change>,
  ): Promise<Result<Operation>> {
    return this.change(request, () => this.#withGuest(nameOrId, make))
  }

  changeGuestAdmitted(
    nameOrId: string,
    request: RequestContext,
    acceptBreach: boolean,
    make: (guest: Versioned<Guest>) => Result<Change>,
  ) {
    return this.changeAdmitted(request, acceptBreach, () => this.#withGuest(nameOrId, make))
  }

  #withGuest(nameOrId: string, make: (guest: Versioned<Guest>) => Result<Change>): Result<Change> {
    const guest = this.findGuest(nameOrId)
    return guest.ok ? make(guest.value) : guest
  }

  /** A change that the policy of admission may warn of or refuse; see `admitChange`. */
  async changeAdmitted(
    request: RequestContext,
    acceptBreach: boolean,
    make: () => Result<Change> | Promise<Result<Change>>,
  ): Promise<Result<{ readonly operation: Operation; readonly warnings: string[] }>> {
    let warnings: string[] = []
    const judged = async () => {
      warnings = []
      const change = await make()
      if (!change.ok) return change
      const turn = request.whatIf || !isJudged(this.state) ? undefined : await this.#admissionTurns.begin()
      if (turn && !turn.ok) return turn
      const admitted = admitChange(this.state, change.value.writes, this.isUp, acceptBreach || request.whatIf === true)
      if (!admitted.ok) return admitted
      warnings = admitted.value
      const asked = { ...change.value, compares: [...change.value.compares, this.#samePolicy()] }
      return ok(turn ? takingTurn(asked, turn.value) : asked)
    }
    const work = () => this.change(request, judged, ADMISSION_TRIES)
    const operation = await (request.whatIf || !isJudged(this.state) ? work() : this.#admissionTurns.inTurn(work))
    return operation.ok ? ok({ operation: operation.value, warnings }) : operation
  }

  /** As `AdmissionTurns.begin`, of what is added to a project. */
  projectTurn(name: string): Promise<Result<Compare>> {
    return this.#projectTurns.begin(KEYS.projectTurn(name))
  }

  /** A policy that became stricter meanwhile has a say in what is judged now. */
  #samePolicy(): Compare {
    return { key: KEYS.clusterPolicy, modRevision: this.state.clusterPolicy?.revision ?? 0n }
  }

  /** Answers once this host's own copy holds the change: who asks next, here, must find what he has just done. */
  async started(operation: Operation) {
    const { mirror, clock } = this.context
    await mirror.until((state) => state.operations.has(operation.id), clock.sleep(OWN_COPY_MS))
    return { operation: operationView(this.view(), this.state.operations.get(operation.id)?.value ?? operation) }
  }
}

/** What is done about the turns of projects and of addresses: they are taken, asked for by the failure `NEEDS_TURN`, or left alone. */
type Turns = 'take' | 'refuse' | 'look'

const NEEDS_TURN = failure('changed_meanwhile', 'What it adds to has its turn first')

/** The records, and what this host knows better of its own guests while the store cannot be told. */
function withUnreported({ state, unreported }: ClusterMirror, self: HostId): ClusterState {
  if (unreported.size === 0) return state
  const observations = new Map(state.observations)
  for (const [guest, { observation, failed }] of unreported) {
    const grant = state.grants.get(guest)?.value
    if (!isActive(grant) || grant.host !== self || grant.epoch !== observation.epoch) continue
    const reason =
      failed && observation.phase === 'paused'
        ? `${observation.reason}; it goes on once the cluster's store, which has no majority now, can record that`
        : observation.reason
    observations.set(guest, { value: { ...observation, reason }, revision: observations.get(guest)?.revision ?? 0n })
  }
  return { ...state, observations }
}
