/**
 * A decision with all that it was made from, so that it can be made again: later, elsewhere, by newer code. The text is
 * JSON; maps become lists of entries and revisions become decimal texts.
 */
import { decide, type CoordinatorInput, type Verdict } from '../ha/coordinator.ts'
import type { Action, Plan } from '../ha/plan.ts'
import type { Decision } from '../model/decision.ts'
import { emptyClusterState } from '../model/cluster-reducer.ts'
import type { ClusterState, Versioned } from '../model/cluster.ts'
import type { GuestId, HostId } from '../model/ids.ts'

const FORMAT = 'stead-decision/1'

/** One thing that was decided, in a form that can be compared: times and epochs that follow from it are left out. */
export interface Choice {
  /** `guest/web`, `host/h1`. */
  readonly subject: string
  readonly choice: string
}

export interface DecisionRecord {
  readonly format: typeof FORMAT
  readonly id: string
  /** Wall clock, ms since 1970. */
  readonly decidedAt: number
  readonly choices: readonly Choice[]
  readonly input: EncodedInput
}

type Entry = readonly [id: string, value: unknown, revision: string]

interface EncodedInput {
  readonly self: string
  readonly wallMs: number
  readonly state: Readonly<Record<string, Entry | readonly Entry[]>>
  readonly verdicts: readonly (readonly [string, string])[]
  readonly bootIds: readonly (readonly [string, string])[]
  readonly pausedRetries: readonly (readonly [string, number])[]
  readonly runningForMs: readonly (readonly [string, number])[]
  readonly balancingMovesMax?: number
}

export interface Replay {
  readonly id: string
  readonly decidedAt: number
  /** What was decided then. */
  readonly recorded: readonly Choice[]
  /** Subjects on which today's code decides otherwise. */
  readonly differences: readonly { readonly subject: string; readonly was: string; readonly isNow: string }[]
  /** What was known and who was thought of, where the same was decided again: a record keeps no reasons. */
  readonly reasons: readonly Decision[]
}

/** Undefined for plans that decide nothing about guests: those are made again every moment. */
export function recordOf(id: string, input: CoordinatorInput, plan: Plan): DecisionRecord | undefined {
  const choices = choicesOf(plan)
  if (choices.length === 0) return undefined
  return { format: FORMAT, id, decidedAt: input.wallMs, choices, input: encodeInput(input) }
}

/** Makes the decision again with the code that runs now. */
export function replay(record: DecisionRecord): Replay {
  const plan = decide(decodeInput(record.id, record.input))
  const now = new Map(choicesOf(plan).map(({ subject, choice }) => [subject, choice]))
  const then = new Map(record.choices.map(({ subject, choice }) => [subject, choice]))
  const subjects = [...new Set([...then.keys(), ...now.keys()])]
  return {
    id: record.id,
    decidedAt: record.decidedAt,
    recorded: record.choices,
    differences: subjects.flatMap((subject) => {
      const [before, today] = [then.get(subject) ?? NOTHING, now.get(subject) ?? NOTHING]
      return before === today ? [] : [{ subject, was: before, isNow: today }]
    }),
    reasons: plan.actions.flatMap(({ action }) => {
      const choice = choiceOf(action)
      if (!choice || !('decision' in action) || then.get(choice.subject) !== choice.choice) return []
      return [{ ...action.decision, guest: choice.subject.replace('guest/', '') }]
    }),
  }
}

const NOTHING = 'nothing'

function choicesOf(plan: Plan): Choice[] {
  return plan.actions.flatMap(({ action }) => {
    const choice = choiceOf(action)
    return choice ? [choice] : []
  })
}

function choiceOf(action: Action): Choice | undefined {
  switch (action.kind) {
    case 'grant':
      return { subject: `guest/${action.guest.name}`, choice: `${action.decision.action} on ${action.grant.host}` }
    case 'explain':
      return { subject: `guest/${action.decision.guest}`, choice: `wait: ${action.decision.outcome}` }
    case 'recall':
      return { subject: `guest/${action.guest.name}`, choice: `leave ${action.grant.host}: ${action.grant.reason}` }
    case 'hand-over':
      return {
        subject: `guest/${action.guest.name}`,
        choice: `move live from ${action.grant.host} to ${action.grant.handover?.to}: ${action.grant.handover?.reason}`,
      }
    case 'send-root':
      return {
        subject: `guest/${action.guest.name}`,
        choice: `send its root to ${action.root.move?.to}: ${action.reason}`,
      }
    case 'release-lost':
      return { subject: `guest/${action.guest.name}`, choice: 'release its grant on a lost host' }
    case 'erase':
      return { subject: `guest/${action.guest.name}`, choice: 'erase it' }
    case 'host-status':
      return { subject: `host/${action.host}`, choice: action.status.state }
    case 'finish-operation':
      return undefined
  }
}

function encodeInput(input: CoordinatorInput): EncodedInput {
  const state: Record<string, Entry | Entry[]> = {}
  for (const [name, held] of Object.entries(input.state) as [string, Collection | Versioned<unknown> | undefined][]) {
    // What happened to requests decides nothing, and there are many.
    if (held === undefined || name === 'operations') continue
    state[name] =
      held instanceof Map
        ? [...held].map(([id, { value, revision }]): Entry => [id, value, String(revision)])
        : ['', (held as Versioned<unknown>).value, String((held as Versioned<unknown>).revision)]
  }
  return {
    self: input.self,
    wallMs: input.wallMs,
    state,
    verdicts: [...input.verdicts],
    bootIds: [...input.bootIds],
    pausedRetries: [...input.pausedRetries],
    runningForMs: [...input.runningForMs],
    ...(input.balancingMovesMax === undefined ? {} : { balancingMovesMax: input.balancingMovesMax }),
  }
}

type Collection = ReadonlyMap<string, Versioned<unknown>>

/** The text comes from this product's own history: its records were checked when they were read from the store. */
function decodeInput(planId: string, encoded: EncodedInput): CoordinatorInput {
  const state: Record<string, unknown> = { ...emptyClusterState() }
  for (const [name, held] of Object.entries(encoded.state)) {
    state[name] =
      state[name] instanceof Map
        ? new Map((held as Entry[]).map(([id, ...rest]) => [id, versioned(rest)]))
        : versioned((held as Entry).slice(1) as [unknown, string])
  }
  return {
    state: state as unknown as ClusterState,
    self: encoded.self as HostId,
    planId,
    wallMs: encoded.wallMs,
    verdicts: new Map(encoded.verdicts as [HostId, Verdict][]),
    bootIds: new Map(encoded.bootIds as [HostId, string][]),
    pausedRetries: new Map(encoded.pausedRetries as [GuestId, number][]),
    runningForMs: new Map(encoded.runningForMs as [GuestId, number][]),
    ...(encoded.balancingMovesMax === undefined ? {} : { balancingMovesMax: encoded.balancingMovesMax }),
  }
}

function versioned([value, revision]: readonly [unknown, string]): Versioned<unknown> {
  return { value, revision: BigInt(revision) }
}
