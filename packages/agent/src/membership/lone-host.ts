/**
 * `stead cluster recover`: all members but this host are lost for ever. Its copy of the records becomes the cluster's, and
 * the others are nobody any more. Each step is done where its result is not there yet, so that whoever is interrupted
 * asks again. docs/internals/recovery.md.
 */
import { failure, type Failure } from '@stead/core/errors.ts'
import type { Verdict } from '@stead/core/ha/coordinator.ts'
import { guestsLeft, type GuestLeft, type Loneliness } from '@stead/core/ha/lone-recovery.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { makeStoreAlone } from '../etcd/lone-store.ts'
import { answersPing } from '../network/answers-ping.ts'
import { goOnAlone, type LoneRecordsContext } from './lone-records.ts'

export interface LoneHostContext extends LoneRecordsContext {
  readonly verdicts: () => ReadonlyMap<HostId, Verdict>
}

export interface RecoveryRequest {
  /** All others, by name: whoever writes them down has thought of each. */
  readonly lost: readonly string[]
  readonly giveUpSecrets: boolean
  /** Look only. */
  readonly check: boolean
}

export interface RecoveryReport {
  readonly host: string
  readonly lost: string[]
  readonly done: boolean
  /** `unknown`: this host's agent has begun without a majority, and has not read its records yet. */
  readonly secrets: 'kept' | 'given-up' | 'locked' | 'unknown'
  /** Null while `secrets` is `unknown`. */
  readonly guests: GuestLeft[] | null
}

const LOADED_MS = 20_000
/** An agent that has its records asks for the shares at once. */
const KEY_MS = 6_000
const LOOK_MS = 100

export class LoneHost {
  readonly #context: LoneHostContext
  #busy = false

  constructor(context: LoneHostContext) {
    this.#context = context
  }

  async recover(request: RecoveryRequest): Promise<Result<RecoveryReport>> {
    if (this.#busy) return fail(failure('conflict', 'This host is being recovered already', { hint: 'Wait for it' }))
    this.#busy = true
    try {
      const refused = await this.#whyNot(request.lost)
      if (refused) return fail(refused)
      if (request.check) return ok(this.#report(request, false))
      return await this.#goOn(request)
    } finally {
      this.#busy = false
    }
  }

  async #whyNot(lost: readonly string[]): Promise<Failure | undefined> {
    const { config, member, store, verdicts } = this.#context
    const { hostId: self } = config
    if (config.role === 'witness')
      return conflict(
        `${self} is a witness: it has no guests' disks, and may make no hosts`,
        'Recover on a host that runs guests; if all of those are lost, so is the cluster',
      )
    if (!member.isMember)
      return conflict(
        `${self} has no copy of the cluster's records`,
        `One of these has: ${config.etcdMembers.join(', ')}`,
      )
    const others = config.members.filter(({ hostId }) => hostId !== self)
    const names = others.map(({ hostId }) => hostId)
    const unknown = lost.filter((name) => !names.includes(name))
    const unnamed = names.filter((name) => !lost.includes(name))
    if (unknown.length > 0)
      return failure('not_found', `${unknown.join(', ')} is none of the other members`, {
        hint: `They are ${names.join(', ') || 'none: this host is alone'}`,
      })
    if (unnamed.length > 0 || names.length === 0)
      return conflict(
        names.length === 0 ? `${self} is the only member already` : `Nothing is said of ${unnamed.join(', ')}`,
        'Every other member must be lost for ever, and be named. While others are left, bring them back',
      )
    const heard = names.filter((name) => verdicts().get(name as HostId) === 'heard')
    if (heard.length > 0) return conflict(`${heard.join(', ')} is alive: its heartbeats arrive`, SWITCH_OFF)
    const answering = await this.#answering(others)
    if (answering.length > 0) return conflict(`${answering.join(', ')} answers: it is switched on`, SWITCH_OFF)
    if (!(await store.get(KEYS.settings)).ok) return undefined
    const voters = await member.memberNames()
    if (!voters.ok) return voters.error
    // What an earlier try has made alone is no majority of others.
    return voters.value.every((name) => name === self)
      ? undefined
      : conflict(
          'The store decides: this cluster has a majority',
          'For one dead host: stead failover --confirm-dead HOST, then stead host remove HOST',
        )
  }

  async #answering(others: LoneHostContext['config']['members']): Promise<string[]> {
    const found = await Promise.all(
      others.map(async ({ addresses }) => {
        const all = Object.values(addresses).filter((address) => address !== undefined)
        return (await Promise.all(all.map(answersPing))).some(Boolean)
      }),
    )
    return others.flatMap(({ hostId }, index) => (found[index] ? [hostId] : []))
  }

  async #goOn(request: RecoveryRequest): Promise<Result<RecoveryReport>> {
    const { store, mirror, config, log } = this.#context
    if (!(await store.get(KEYS.settings)).ok) {
      log.warn('the records of this host become those of the cluster: all others are lost', { lost: request.lost })
      const alone = await makeStoreAlone(this.#context)
      if (!alone.ok) return alone
    }
    if (!(await this.#until(() => mirror.loaded, LOADED_MS)))
      return fail(failure('no_quorum', 'The records could not be read', { hint: `See the log of ${config.hostId}` }))
    const hasSecrets = await this.#until(() => this.#hasSecrets(), KEY_MS)
    if (!hasSecrets && !request.giveUpSecrets) return fail(LOCKED)
    const report = this.#report(request, true)
    const done = await goOnAlone(this.#context, { ...this.#alone(), hasSecrets })
    if (!done.ok) return done
    log.warn('this host is the cluster now', { lost: request.lost })
    return ok(report)
  }

  #alone(): Loneliness {
    const { config } = this.#context
    const lost = config.members.map(({ hostId }) => hostId as HostId).filter((id) => id !== config.hostId)
    return { self: config.hostId as HostId, lost }
  }

  #hasSecrets(): boolean {
    const { mirror, vault } = this.#context
    return mirror.state.vault === undefined || vault.ring !== undefined
  }

  #report({ lost, giveUpSecrets }: RecoveryRequest, done: boolean): RecoveryReport {
    const { mirror, config } = this.#context
    const common = { host: config.hostId, lost: [...lost], done }
    if (!mirror.loaded) return { ...common, secrets: 'unknown', guests: null }
    const secrets = this.#hasSecrets() ? 'kept' : giveUpSecrets ? 'given-up' : 'locked'
    return { ...common, secrets, guests: [...guestsLeft(mirror.state, this.#alone())] }
  }

  async #until(holds: () => boolean, limitMs: number): Promise<boolean> {
    const { clock } = this.#context
    const deadline = clock.monotonicMs() + limitMs
    while (!holds()) {
      if (clock.monotonicMs() >= deadline) return false
      await clock.sleep(LOOK_MS)
    }
    return true
  }
}

function conflict(message: string, hint: string): Failure {
  return failure('conflict', message, { hint })
}

const SWITCH_OFF = 'Nobody may come back: switch the lost hosts off for good, pull their plugs, then ask again'

const LOCKED = failure(
  'secrets_locked',
  'The secrets of the cluster do not open: this host has begun anew since the others were lost, and has one share of two',
  {
    hint:
      'If any other member can be brought back, do that instead. Otherwise `--give-up-secrets` goes on: ' +
      'passwords, second factors and the secrets of realms and webhooks are then set anew',
  },
)
