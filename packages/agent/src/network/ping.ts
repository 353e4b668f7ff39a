/** How long packets take from one address to another and back, and how many get lost: ten small ones, by `ping`. */
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { runProgram } from '../process/run-program.ts'

export interface PingFigures {
  /** 0 to 1. */
  readonly lostShare: number
  /** There and back, on average; absent when nothing came back. */
  readonly latencyMs?: number
  /** Mean deviation from that. */
  readonly jitterMs?: number
}

const PACKETS = 10
const INTERVAL_S = 0.05
const ANSWER_S = 2
const PING_MS = 10_000

export async function ping(from: string, to: string): Promise<Result<PingFigures>> {
  const pace = ['-c', String(PACKETS), '-i', String(INTERVAL_S), '-W', String(ANSWER_S)]
  // 1: nothing came back, which is an answer as well.
  const told = await runProgram('ping', ['-I', from, '-n', '-q', ...pace, to], PING_MS, { accepted: [0, 1] })
  if (!told.ok) return told
  const figures = pingFigures(told.value.output)
  return figures ? ok(figures) : fail(failure('internal', `ping says nothing that is understood of ${to}`))
}

/** Of the summary that `ping -q` prints (iputils); undefined when there is none. */
export function pingFigures(output: string): PingFigures | undefined {
  const lost = /([\d.]+)% packet loss/.exec(output)?.[1]
  if (lost === undefined) return undefined
  const [, , average, , deviation] = /= ([\d.]+)\/([\d.]+)\/([\d.]+)\/([\d.]+) ms/.exec(output) ?? []
  return {
    lostShare: Number(lost) / 100,
    ...(average === undefined ? {} : { latencyMs: Number(average), jitterMs: Number(deviation) }),
  }
}
