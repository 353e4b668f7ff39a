/**
 * A scenario's `commands`: what is done to the cluster and what must hold, one line each, in the order of time.
 *
 *     @1000 cut h3
 *     @5000 expect g103 runs-on h2
 *     @5000 may-wait g101 its only replica is on h3
 */
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { parseCommands, printCommand, type FaultCommand } from './fault-commands.ts'
import { parseExpectation, type Expectation } from './scenario-expectations.ts'

export type ScenarioStep =
  | { readonly kind: 'command'; readonly atMs: number; readonly line: number; readonly command: FaultCommand }
  | { readonly kind: 'expect'; readonly atMs: number; readonly line: number; readonly expectation: Expectation }
  /** This guest's recovery waits for something, and may take longer than recoveries may. */
  | {
      readonly kind: 'may-wait'
      readonly atMs: number
      readonly line: number
      readonly guest: string
      readonly why: string
    }

/** Fails with `bad_request`, naming the line. Empty lines and those that begin with `#` are left out. */
export function parseScenarioSteps(text: string): Result<readonly ScenarioStep[]> {
  const steps: ScenarioStep[] = []
  for (const [index, written] of text.split('\n').entries()) {
    const words = written.trim().split(/\s+/)
    if (words[0] === '' || words[0]?.startsWith('#')) continue
    const line = index + 1
    const step = parseStep(words, line)
    if (typeof step === 'string') return fail(failure('bad_request', `Line ${line}: ${step}`))
    if (step.atMs < (steps.at(-1)?.atMs ?? 0))
      return fail(failure('bad_request', `Line ${line}: @${step.atMs} comes after the line before`))
    steps.push(step)
  }
  if (steps.length === 0) return fail(failure('bad_request', 'Nothing is done and nothing is expected'))
  return ok(steps)
}

/** The step, or what is wrong with it. */
function parseStep(words: readonly string[], line: number): ScenarioStep | string {
  const [at = '', verb, ...args] = words
  if (verb !== 'expect' && verb !== 'may-wait') {
    const parsed = parseCommands(words.join(' '))
    if (!parsed.ok) return parsed.error.message.replace(/^Line 1: /, '')
    const [command] = parsed.value
    return command ? { kind: 'command', atMs: command.atMs, line, command } : 'it says nothing'
  }
  if (!/^@\d+$/.test(at)) return `it begins with the time in ms, as @1200, not with ${at}`
  const atMs = Number(at.slice(1))
  if (verb === 'may-wait') {
    const [guest, ...why] = args
    if (guest === undefined || why.length === 0) return 'may-wait takes a guest and why it waits'
    return { kind: 'may-wait', atMs, line, guest, why: why.join(' ') }
  }
  const expectation = parseExpectation(args)
  return typeof expectation === 'string' ? expectation : { kind: 'expect', atMs, line, expectation }
}

/** Without its time. */
export function shownCommand(command: FaultCommand): string {
  return printCommand(command).replace(/^@\S+ /, '')
}
