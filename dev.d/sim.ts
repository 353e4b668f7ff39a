/** `./dev sim`: looks for seeds whose world breaks a promise, and shows what happened in one. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { failureFolder } from '@stead/sim/failure-folder.ts'
import { parseCommands, printCommand } from '@stead/sim/fault-commands.ts'
import { planFaults, type FaultPlan } from '@stead/sim/fault-plan.ts'
import { shrink } from '@stead/sim/shrink.ts'
import { playPlan } from '@stead/sim/world-fuzz.ts'
import type { WorldOptions } from '@stead/sim/world.ts'
import { DevFailure } from './run-program.ts'
import { mutate } from './sim-mutate.ts'
import type { SimResult, SimWork } from './sim-worker.ts'

const SEEDS = 50
const SEED_MAX = 2 ** 31

export interface SimOptions {
  readonly seeds?: string | undefined
  readonly first?: string | undefined
  readonly minutes?: string | undefined
  readonly jobs?: string | undefined
  readonly out?: string | undefined
}

export function runSim(words: readonly string[], options: SimOptions): Promise<number> {
  const [what, name, ...more] = words
  const number = (flag: 'seeds' | 'minutes' | 'jobs', otherwise: number) =>
    options[flag] === undefined ? otherwise : wholeNumber(`--${flag}`, options[flag])
  // A first seed that nobody has tried yet, said aloud so that the run can be repeated.
  const first =
    options.first === 'random' ? 1 + Math.floor(Math.random() * SEED_MAX) : wholeNumber('--first', options.first ?? '1')
  if (what === 'fuzz' && name === undefined) {
    const minutes = number('minutes', 60)
    const seeds = number('seeds', options.minutes === undefined ? SEEDS : Number.MAX_SAFE_INTEGER)
    return fuzz({ first, seeds, limitMs: minutes * 60_000, jobs: number('jobs', 1), folder: options.out })
  }
  if (what === 'mutate' && more.length === 0)
    return mutate({ only: name, first, seeds: number('seeds', 2_000), jobs: number('jobs', 2) })
  if (what === 'repro' && name !== undefined && more.length === 0)
    return repro(planFaults(wholeNumber('SEED', name)), options.out)
  if (what === 'play' && name !== undefined && more.length === 0) return repro(readFolder(name), undefined)
  throw new DevFailure(
    'sim what? One of: fuzz [--seeds N] [--minutes M] [--first SEED|random] [--jobs J], repro SEED, play FOLDER, mutate [RULE]',
  )
}

export function wholeNumber(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new DevFailure(`${name} takes a whole number above 0`)
  return value
}

/** Plays seeds in threads; calls back with each result, and resolves when all are done. */
export async function playInThreads(
  work: Omit<SimWork, 'step'>,
  jobs: number,
  onResult: (result: SimResult) => void,
): Promise<void> {
  await Promise.all(
    Array.from({ length: jobs }, async (_, job) => {
      const seeds = Math.ceil((work.seeds - job) / jobs)
      const workerData = { ...work, first: work.first + job, step: jobs, seeds } satisfies SimWork
      const worker = new Worker(new URL('sim-worker.ts', import.meta.url), { workerData })
      await new Promise<void>((resolve, reject) => {
        worker.on('message', onResult)
        worker.on('error', reject)
        worker.on('exit', (code) =>
          code === 0 ? resolve() : reject(new Error(`a thread of the simulator ended with ${code}`)),
        )
      })
    }),
  )
}

interface FuzzOptions {
  readonly first: number
  readonly seeds: number
  readonly limitMs: number
  readonly jobs: number
  readonly folder: string | undefined
}

async function fuzz({ first, seeds, limitMs, jobs, folder }: FuzzOptions): Promise<number> {
  const startedMs = performance.now()
  const totals = { played: 0, virtualMs: 0, events: 0, acknowledged: 0 }
  const failed: number[] = []
  process.stdout.write(`from seed ${first}\n`)
  await playInThreads({ first, seeds, limitMs, untilCaught: false, edits: [] }, jobs, (result) => {
    totals.played += 1
    totals.virtualMs += result.virtualMs
    totals.events += result.events
    totals.acknowledged += result.acknowledged
    if (result.violations.length === 0) return
    failed.push(result.seed)
    process.stdout.write(
      `seed ${result.seed}: ${result.violations[0]}\n  to see more: ./dev sim repro ${result.seed}\n`,
    )
  })
  const seconds = (performance.now() - startedMs) / 1000
  process.stdout.write(
    `${totals.played - failed.length} of ${totals.played} seeds passed; ${(totals.virtualMs / 3_600_000).toFixed(1)} hours of a cluster's life, ${totals.acknowledged} writes and ${totals.events} events in ${seconds.toFixed(1)} s\n`,
  )
  if (failed[0] !== undefined) await makeSmall(planFaults(failed[0]), folder)
  return failed.length === 0 ? 0 : 1
}

async function repro(plan: FaultPlan, folder: string | undefined): Promise<number> {
  const report = await playPlan(plan)
  process.stdout.write(`${report.log.join('\n')}\n`)
  for (const violation of report.violations) process.stdout.write(`VIOLATION ${violation}\n`)
  process.stdout.write(
    `seed ${plan.world.seed}: ${report.violations.length} violations, ${report.acknowledged} writes acknowledged, ${(report.virtualMs / 1000).toFixed(0)} s of the cluster's time\n`,
  )
  if (report.violations.length === 0) return 0
  await makeSmall(plan, folder)
  return 1
}

/** Shrinks the plan, shows what is left of it, and writes its folder when one is named. */
async function makeSmall(plan: FaultPlan, folder: string | undefined): Promise<void> {
  const small = await shrink(plan)
  if (!small) return
  process.stdout.write(
    `seed ${plan.world.seed} in ${small.plan.commands.length} of ${plan.commands.length} commands, after ${small.plays} plays: ${small.violation}\n`,
  )
  process.stdout.write(`${small.plan.commands.map((command) => `  ${printCommand(command)}`).join('\n')}\n`)
  if (folder === undefined) return
  mkdirSync(folder, { recursive: true })
  for (const [file, text] of Object.entries(failureFolder(small.plan, await playPlan(small.plan))))
    writeFileSync(join(folder, file), text)
  process.stdout.write(`written to ${folder}\n`)
}

function readFolder(folder: string): FaultPlan {
  const commands = parseCommands(readFileSync(join(folder, 'commands'), 'utf8'))
  if (!commands.ok) throw new DevFailure(`${folder}/commands: ${commands.error.message}`)
  const world = JSON.parse(readFileSync(join(folder, 'cluster.json'), 'utf8')) as WorldOptions
  return { world, commands: commands.value }
}
