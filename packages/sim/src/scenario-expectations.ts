/** What a scenario's `expect` lines can say of a cluster, and whether it is so. */
import type { Decision } from '@stead/core/model/decision.ts'
import { failuresMax, type GuestObservation } from '@stead/core/model/guest.ts'
import type { HostStatus } from '@stead/core/model/host.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { isActive } from '@stead/core/model/records.ts'
import { guestId } from './world-records.ts'
import type { World } from './world.ts'

export interface Expectation {
  /** A guest, a host, or what the condition itself names: `everything`, `request`. */
  readonly subject: string
  readonly condition: string
  readonly args: readonly string[]
}

/** What cannot be seen of a world alone: what has happened since the scenario began. */
export interface ScenarioHistory {
  /** Guests started since then, oldest first; one again for each start. */
  readonly started: readonly { readonly guest: string; readonly host: string; readonly atMs: number }[]
  /** Epoch of each guest's grant when the scenario began. */
  readonly epochsAtStart: ReadonlyMap<string, number>
  /** Where each guest ran then. */
  readonly homes: ReadonlyMap<string, string>
  /** Of the newest command: why it was refused; undefined when it was not. */
  readonly refusal: string | undefined
}

interface Question {
  readonly world: World
  readonly history: ScenarioHistory
  readonly subject: string
  readonly args: readonly string[]
}

interface Condition {
  readonly takes: 'nothing' | 'one' | 'some'
  readonly means: string
  /** What is the case instead; undefined when it is as expected. */
  readonly otherwise: (question: Question) => string | undefined
}

export const CONDITIONS: Readonly<Record<string, Condition>> = {
  // Of a guest.
  runs: {
    takes: 'nothing',
    means: 'it runs, where it is granted, and nowhere else',
    otherwise: ({ world, subject }) => (isSoundlyRunning(world, subject) ? undefined : whereIs(world, subject)),
  },
  'runs-on': {
    takes: 'some',
    means: 'it runs on one of these hosts, and nowhere else',
    otherwise: ({ world, subject, args }) =>
      isSoundlyRunning(world, subject) && args.includes(world.grant(subject)?.host ?? '')
        ? undefined
        : whereIs(world, subject),
  },
  'runs-at-home': {
    takes: 'nothing',
    means: 'it runs where it ran when the scenario began',
    otherwise: ({ world, subject, history }) =>
      isSoundlyRunning(world, subject) && world.grant(subject)?.host === history.homes.get(subject)
        ? undefined
        : whereIs(world, subject),
  },
  with: {
    takes: 'some',
    means: 'it runs on the same host as these guests',
    otherwise: ({ world, subject, args }) =>
      args.every((other) => areTogether(world, subject, other)) ? undefined : whereAre(world, [subject, ...args]),
  },
  'apart-from': {
    takes: 'some',
    means: 'it runs, and on another host than each of these guests',
    otherwise: ({ world, subject, args }) =>
      isSoundlyRunning(world, subject) && args.every((other) => world.grant(subject)?.host !== hostOf(world, other))
        ? undefined
        : whereAre(world, [subject, ...args]),
  },
  lives: {
    takes: 'nothing',
    means: 'a process of it is there, whether or not it is about to stop',
    otherwise: ({ world, subject }) => (hasProcess(world, subject) ? undefined : whereIs(world, subject)),
  },
  'runs-nowhere': {
    takes: 'nothing',
    means: 'no process of it is anywhere, whatever it is to be',
    otherwise: ({ world, subject }) => (hasProcess(world, subject) ? whereIs(world, subject) : undefined),
  },
  stopped: {
    takes: 'nothing',
    means: 'it is to be stopped, and is',
    otherwise: ({ world, subject }) =>
      world.guest(subject)?.desired === 'stopped' && !isActive(world.grant(subject)) && !hasProcess(world, subject)
        ? undefined
        : whereIs(world, subject),
  },
  waits: {
    takes: 'one',
    means: 'it runs nowhere, and waits for data, room, order or policy',
    otherwise: ({ world, subject, args }) => {
      const decision = world.record<Decision>(KEYS.decision(guestId(subject)))
      const isWaiting = decision?.action === 'wait' && decision.waitsFor === args[0] && !hasProcess(world, subject)
      return isWaiting ? undefined : `${whereIs(world, subject)}; the last decision: ${decision?.outcome ?? 'none'}`
    },
  },
  ready: {
    takes: 'nothing',
    means: 'its probe has found it ready, in its present run',
    otherwise: ({ world, subject }) => (isReady(world, subject) ? undefined : whereIs(world, subject)),
  },
  'not-ready': {
    takes: 'nothing',
    means: 'it runs, and its probe has not found it ready',
    otherwise: ({ world, subject }) =>
      isSoundlyRunning(world, subject) && !isReady(world, subject) ? undefined : whereIs(world, subject),
  },
  'in-error': {
    takes: 'nothing',
    means: 'its tries are used up, and it is left alone',
    otherwise: ({ world, subject }) => {
      const guest = world.guest(subject)
      const failures = world.record<GuestObservation>(KEYS.observation(guestId(subject)))?.failures ?? 0
      const isLeftAlone = guest && failures >= failuresMax(guest) && !isActive(world.grant(subject))
      return isLeftAlone ? undefined : `${whereIs(world, subject)}, after ${failures} failures`
    },
  },
  gone: {
    takes: 'nothing',
    means: 'it is deleted, with its disks',
    otherwise: ({ world, subject }) => (world.guest(subject) ? whereIs(world, subject) : undefined),
  },
  starts: {
    takes: 'one',
    means: 'so often it was started since the scenario began',
    otherwise: ({ history, subject, args }) => {
      const starts = history.started.filter(({ guest }) => guest === subject)
      if (starts.length === Number(args[0])) return undefined
      return `it was started ${starts.length} times: ${starts.map(({ host }) => host).join(', ') || 'nowhere'}`
    },
  },
  'started-after': {
    takes: 'some',
    means: 'its last start came after the last start of each of these guests',
    otherwise: ({ history, subject, args }) => {
      const last = (name: string) => history.started.findLastIndex(({ guest }) => guest === name)
      if (last(subject) >= 0 && args.every((other) => last(other) >= 0 && last(other) < last(subject))) return undefined
      return `the order was ${history.started.map(({ guest }) => guest).join(', ')}`
    },
  },
  protected: {
    takes: 'nothing',
    means: 'all replicas of its disks are in sync',
    otherwise: ({ world, subject }) => (world.isProtected(subject) ? undefined : replicasOf(world, subject)),
  },
  unprotected: {
    takes: 'nothing',
    means: 'a replica of its disks is not in sync',
    otherwise: ({ world, subject }) => (world.isProtected(subject) ? replicasOf(world, subject) : undefined),
  },
  // Of a host.
  lost: {
    takes: 'nothing',
    means: 'the cluster has recorded that it is lost',
    otherwise: ({ world, subject }) => (statusOf(world, subject) === 'lost' ? undefined : statusOf(world, subject)),
  },
  online: {
    takes: 'nothing',
    means: 'the cluster holds it online',
    otherwise: ({ world, subject }) => (statusOf(world, subject) === 'online' ? undefined : statusOf(world, subject)),
  },
  coordinates: {
    takes: 'nothing',
    means: 'it holds the claim to coordinate',
    otherwise: ({ world, subject }) => {
      const host = world.record<{ readonly host: HostId }>(KEYS.coordinator)?.host
      return host === subject ? undefined : `${host ?? 'nobody'} coordinates`
    },
  },
  'has-guests': {
    takes: 'some',
    means: 'that many guests run there: one of these numbers',
    otherwise: ({ world, subject, args }) => {
      const guests = world.guests().filter(({ name }) => world.runsOn(name).includes(subject as HostId))
      if (args.some((arg) => Number(arg) === guests.length)) return undefined
      return `${guests.length} run there: ${guests.map(({ name }) => name).join(', ') || 'none'}`
    },
  },
  // Of everything.
  'as-at-first': {
    takes: 'nothing',
    means: 'no guest was given another run since the scenario began',
    otherwise: ({ world, history }) => {
      const changed = world
        .guests()
        .filter(({ name }) => (world.grant(name)?.epoch ?? 0) !== (history.epochsAtStart.get(name) ?? 0))
      return changed.length === 0 ? undefined : changed.map(({ name }) => whereIs(world, name)).join('; ')
    },
  },
  'all-run': {
    takes: 'nothing',
    means: 'every guest that is to run does',
    otherwise: ({ world }) => {
      const wanted = world.guests().filter(({ desired }) => desired === 'running')
      const missing = wanted.filter(({ name }) => !isSoundlyRunning(world, name))
      return missing.length === 0 ? undefined : missing.map(({ name }) => whereIs(world, name)).join('; ')
    },
  },
  'starts-in-all': {
    takes: 'one',
    means: 'so many starts were there since the scenario began, of all guests together',
    otherwise: ({ history, args }) => {
      if (history.started.length === Number(args[0])) return undefined
      return `there were ${history.started.length}: ${history.started.map(({ guest, host }) => `${guest} on ${host}`).join(', ')}`
    },
  },
  refused: {
    takes: 'nothing',
    means: 'the last request was refused',
    otherwise: ({ history }) => (history.refusal === undefined ? 'it was taken' : undefined),
  },
}

/** The expectation, or what is wrong with it. */
export function parseExpectation([subject = '', name = '', ...args]: readonly string[]): Expectation | string {
  const condition = Object.hasOwn(CONDITIONS, name) ? CONDITIONS[name] : undefined
  if (!condition) return `nothing can be expected to be '${name}'; there are ${Object.keys(CONDITIONS).join(', ')}`
  const fits =
    condition.takes === 'nothing' ? args.length === 0 : condition.takes === 'one' ? args.length === 1 : args.length > 0
  if (!fits) return `${name} takes ${condition.takes} more, not ${args.join(' ') || 'nothing'}`
  return { subject, condition: name, args }
}

/** A sentence that says what is the case instead; undefined when it is as expected. */
export function unmet(
  { subject, condition, args }: Expectation,
  world: World,
  history: ScenarioHistory,
): string | undefined {
  const wrong = CONDITIONS[condition]?.otherwise({ world, history, subject, args })
  return wrong === undefined ? undefined : `expected: ${[subject, condition, ...args].join(' ')}; but ${wrong}`
}

/** Granted, reported, and really there, on one host alone. */
export function isSoundlyRunning(world: World, name: string): boolean {
  return world.isRunning(name) && world.runsOn(name).length === 1
}

function isReady(world: World, name: string): boolean {
  const seen = world.record<GuestObservation>(KEYS.observation(guestId(name)))
  return seen?.epoch === world.grant(name)?.epoch && seen?.readiness?.ready === true
}

function hostOf(world: World, name: string): HostId | undefined {
  return isSoundlyRunning(world, name) ? world.grant(name)?.host : undefined
}

function areTogether(world: World, one: string, other: string): boolean {
  const host = hostOf(world, one)
  return host !== undefined && host === hostOf(world, other)
}

/** It may stand still there all the same. */
function hasProcess(world: World, name: string): boolean {
  return world.hostOf(guestId(name)) !== undefined
}

function whereIs(world: World, name: string): string {
  const guest = world.guest(name)
  if (!guest) return `there is no guest ${name}`
  const grant = world.grant(name)
  const runs = world.runsOn(name).join(' and ') || 'nowhere'
  const granted = grant ? `${grant.state} for ${grant.host} at epoch ${grant.epoch}` : 'never granted'
  return `${name}, which is to be ${guest.desired}, runs ${runs === 'nowhere' ? runs : `on ${runs}`} (${granted})`
}

function whereAre(world: World, names: readonly string[]): string {
  return names.map((name) => `${name} runs on ${world.runsOn(name).join(' and ') || 'no host'}`).join(', ')
}

function replicasOf(world: World, name: string): string {
  return `its replicas: ${world
    .volume(name)
    .replicas.map(({ host, state }) => `${host} ${state}`)
    .join(', ')}`
}

function statusOf(world: World, id: string): string {
  return world.record<HostStatus>(KEYS.status(id as HostId))?.state ?? 'unknown'
}
