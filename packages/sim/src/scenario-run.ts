/** Plays a scenario: the real core in a simulated cluster, its commands, and what must hold. */
import type { ClusterFile } from '@stead/core/model/cluster-file.ts'
import type { HostStatus } from '@stead/core/model/host.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { isActive } from '@stead/core/model/records.ts'
import type { FaultCommand } from './fault-commands.ts'
import { isSoundlyRunning, unmet, type ScenarioHistory } from './scenario-expectations.ts'
import { ScenarioLog } from './scenario-log.ts'
import { shownCommand, type ScenarioStep } from './scenario-steps.ts'
import { SCENARIO_START_MS, scenarioWorld } from './scenario-world.ts'
import type { World } from './world.ts'

/** From what struck a guest's host to the guest's next run, unless it waits for something. */
export const RECOVERY_MS_MAX = 5_000
const SEED = 1
/** Commands that a recovery may begin with. */
const STRIKING = /^(power-off|freeze|cut|impair|kill|pause|disk-(fails|hangs))/
/** Where the loss of a host has no command of its own. */
const ANYTHING = ''
const LOOK_MS = 20
/** What happened in the last moment is told a moment later. */
const LAST_WORDS_MS = 1_000

export interface Scenario {
  readonly cluster: ClusterFile
  readonly steps: readonly ScenarioStep[]
}

/** A guest that lost its host, and runs again. */
export interface Recovery {
  readonly guest: string
  readonly tookMs: number
  /** What it had to wait for, by the scenario's own word; undefined when nothing kept it. */
  readonly waitedFor?: string
}

export interface ScenarioReport {
  /** What `expected.log` holds. */
  readonly log: readonly string[]
  /** What did not hold: expectations, the world's own promises, slow recoveries; one sentence each. */
  readonly failures: readonly string[]
  readonly recoveries: readonly Recovery[]
  /** Since the scenario began. */
  readonly virtualMs: number
  /** All that the agents said, for whoever looks for a cause. */
  readonly details: readonly string[]
}

export async function playScenario({ cluster, steps }: Scenario, seed = SEED): Promise<ScenarioReport> {
  const { world, problems } = await scenarioWorld(cluster, seed)
  const play = new Play(world)
  for (const step of steps) {
    await play.advanceTo(SCENARIO_START_MS + step.atMs)
    if (step.kind === 'command') play.command(step.command)
    if (step.kind === 'expect') play.expect(step)
    if (step.kind === 'may-wait') play.mayWait(step)
  }
  const report = await play.finish()
  return { ...report, failures: [...problems, ...report.failures] }
}

class Play {
  readonly #world: World
  readonly #log: ScenarioLog
  readonly #atFirst: readonly string[]
  readonly #epochs: ReadonlyMap<string, number>
  readonly #homes: ReadonlyMap<string, string>
  readonly #failures: string[] = []
  readonly #recoveries: Recovery[] = []
  readonly #patient = new Map<string, string>()
  /** Grants that replace a lost host's, by `guest epoch`: when the loss happened. */
  readonly #losses = new Map<string, number>()
  readonly #struckAt = new Map<string, number>()
  #refusals = 0
  #counted = 0
  #lookedAtMs = 0
  #grantsSeen = new Map<string, number>()

  constructor(world: World) {
    this.#world = world
    this.#log = new ScenarioLog(world)
    this.#atFirst = [`At the start: ${summary(world)}`]
    this.#epochs = new Map(world.guests().map(({ name }) => [name, world.grant(name)?.epoch ?? 0]))
    this.#homes = new Map(world.guests().flatMap(({ name }) => world.runsOn(name).map((host) => [name, host] as const)))
    this.#grantsSeen = new Map(this.#epochs)
  }

  async advanceTo(ms: number): Promise<void> {
    const { clock } = this.#world
    await clock.until(
      () => {
        this.#look()
        return false
      },
      Math.max(0, ms - clock.monotonicMs()),
    )
    this.#log.look()
  }

  command(command: FaultCommand): void {
    this.#log.command(shownCommand(command))
    if (STRIKING.test(command.verb))
      for (const struck of [...command.args, ANYTHING]) this.#struckAt.set(struck, this.#world.clock.monotonicMs())
    this.#refusals = this.#world.refusals.length
    this.#world.perform(command)
    for (const reason of this.#world.refusals.slice(this.#refusals)) this.#log.refused(reason)
  }

  expect({ atMs, expectation }: Extract<ScenarioStep, { kind: 'expect' }>): void {
    const refusal = this.#world.refusals.slice(this.#refusals).at(-1)
    const history: ScenarioHistory = {
      started: this.#log.started,
      epochsAtStart: this.#epochs,
      homes: this.#homes,
      refusal,
    }
    const wrong = unmet(expectation, this.#world, history)
    if (wrong !== undefined) this.#failures.push(`@${atMs} ${wrong}`)
  }

  mayWait({ guest, why }: Extract<ScenarioStep, { kind: 'may-wait' }>): void {
    this.#patient.set(guest, why)
  }

  async finish(): Promise<ScenarioReport> {
    const { checks, clock, log } = this.#world
    const endMs = clock.monotonicMs()
    const atLast = `At the end: ${summary(this.#world)}`
    await clock.advance(LAST_WORDS_MS)
    checks.outages.look()
    this.#world.close()
    for (const { guest, tookMs } of this.#recoveries)
      if (tookMs > RECOVERY_MS_MAX && !this.#patient.has(guest))
        this.#failures.push(`the recovery of ${guest} took ${(tookMs / 1_000).toFixed(1)} s`)
    return {
      log: [...this.#atFirst, ...this.#log.lines(), '', atLast],
      failures: [...this.#failures, ...checks.violations],
      recoveries: this.#recoveries.map((recovery) => {
        const waitedFor = recovery.tookMs > RECOVERY_MS_MAX ? this.#patient.get(recovery.guest) : undefined
        return waitedFor === undefined ? recovery : { ...recovery, waitedFor }
      }),
      virtualMs: endMs - SCENARIO_START_MS,
      details: log,
    }
  }

  #look(): void {
    const nowMs = this.#world.clock.monotonicMs()
    if (nowMs - this.#lookedAtMs < LOOK_MS) return
    this.#lookedAtMs = nowMs
    this.#noteLosses()
    this.#log.look()
    for (const { guest, epoch, atMs } of this.#log.started.slice(this.#counted)) {
      const lostAtMs = this.#losses.get(`${guest} ${epoch}`)
      if (lostAtMs !== undefined) this.#recoveries.push({ guest, tookMs: atMs - lostAtMs })
    }
    this.#counted = this.#log.started.length
  }

  /** A guest is granted anew since its host is lost: what struck that host is where its recovery began. */
  #noteLosses(): void {
    for (const { name } of this.#world.guests()) {
      const grant = this.#world.grant(name)
      if (!grant || (this.#grantsSeen.get(name) ?? 0) >= grant.epoch) continue
      this.#grantsSeen.set(name, grant.epoch)
      const lost = grant.reason.endsWith(' is lost') ? grant.reason.split(' ')[0] : undefined
      const sinceMs = lost === undefined ? undefined : (this.#struckAt.get(lost) ?? this.#struckAt.get(ANYTHING))
      if (sinceMs !== undefined) this.#losses.set(`${name} ${grant.epoch}`, sinceMs)
    }
  }
}

/** Where everything is, in one line. */
function summary(world: World): string {
  const hosts = world.hostIds.map((id) => {
    const guests = world.guests().filter(({ name }) => isSoundlyRunning(world, name) && world.grant(name)?.host === id)
    const state = world.record<HostStatus>(KEYS.status(id))?.state
    const names = guests.map(({ name }) => name).join(' ')
    return `${id}${state === 'online' ? '' : ` (${state ?? 'unknown'})`}: ${names || '-'}`
  })
  const others = world.guests().filter(({ name }) => !isSoundlyRunning(world, name))
  const stopped = others.filter(({ name, desired }) => desired === 'stopped' && !isActive(world.grant(name)))
  const missing = others.filter((guest) => !stopped.includes(guest))
  if (stopped.length > 0) hosts.push(`stopped: ${stopped.map(({ name }) => name).join(' ')}`)
  if (missing.length > 0) hosts.push(`not running: ${missing.map(({ name }) => name).join(' ')}`)
  return hosts.join(' | ')
}
