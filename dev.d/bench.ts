/** `./dev bench`: measures what the README promises, and writes docs/benchmarks.md with `--write`. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { apiSection, benchApi } from './bench-api.ts'
import { benchContainer } from './bench-container.ts'
import { containerSection } from './bench-container-report.ts'
import { benchCreate } from './bench-create.ts'
import { benchFailover } from './bench-failover.ts'
import { benchFootprint } from './bench-footprint.ts'
import { benchMigration, migrationSection } from './bench-migration.ts'
import { benchMirror } from './bench-mirror.ts'
import { benchPlanner } from './bench-planner.ts'
import { benchReplica } from './bench-replica.ts'
import {
  createSection,
  footprintSection,
  failoverSection,
  mirrorSection,
  replicaSection,
  timesSection,
} from './bench-report.ts'
import { plannerSection } from './bench-planner-report.ts'
import { benchSimulator, simulatorSection } from './bench-simulator.ts'
import { benchSnapshot, snapshotSection } from './bench-snapshot.ts'
import { benchTimes } from './bench-times.ts'
import { benchWeb, webSection } from './bench-web.ts'
import { ROOT } from './run-program.ts'

export const BENCH_PARTS = [
  'failover',
  'replica',
  'mirror',
  'footprint',
  'times',
  'planner',
  'simulator',
  'migration',
  'create',
  'snapshot',
  'api',
  'web',
  'container',
] as const
export type BenchPart = (typeof BENCH_PARTS)[number]

export interface BenchChoice {
  readonly parts: readonly BenchPart[]
  readonly json: boolean
  /** Fewer rounds: to see that it works, not to quote. */
  readonly quick: boolean
  /** Put the sections that were measured into docs/benchmarks.md; the others stay as they are. */
  readonly write: boolean
  /** Of failover; 20 when not given. */
  readonly rounds?: number
}

const PAGE = join(ROOT, 'docs', 'benchmarks.md')

const HEAD = `# Benchmarks

Written by \`./dev bench --write\`; every figure below was measured, none is copied from elsewhere. Run it yourself:
\`./dev bench [failover|replica|mirror|footprint|times|planner|simulator|migration|create|snapshot|container|api|web|all] [--quick] [--rounds N] [--json] [--write]\`.
Each part but the planner's, the simulator's, the API's and the web interface's starts a lab of its own and removes it. All hosts of a lab share one machine, so its few processors do
the work of three hosts and of their emulated guests: on real hosts the times are shorter, the ratios similar.
A target that was missed is marked **missed**.
`

export async function runBench({ parts, json, quick, write, rounds }: BenchChoice): Promise<number> {
  const note = (text: string) => void process.stderr.write(`${text}\n`)
  const results: Partial<Record<BenchPart, unknown>> = {}
  const sections: Partial<Record<BenchPart, string>> = {}
  for (const part of parts) {
    note(`bench ${part}`)
    switch (part) {
      case 'failover': {
        const report = await benchFailover({ rounds: rounds ?? (quick ? 4 : 20), note })
        ;[results[part], sections[part]] = [report, failoverSection(report)]
        break
      }
      case 'replica': {
        const report = await benchReplica({ rounds: quick ? 1 : 5, outageSeconds: quick ? 5 : 15, note })
        ;[results[part], sections[part]] = [report, replicaSection(report)]
        break
      }
      case 'mirror': {
        const report = await benchMirror(quick ? { seconds: 1, rounds: 1, writers: [1, 4] } : {})
        ;[results[part], sections[part]] = [report, mirrorSection(report)]
        break
      }
      case 'footprint': {
        const report = await benchFootprint({ seconds: quick ? 10 : 30, ...(quick ? { settleSeconds: 15 } : {}), note })
        ;[results[part], sections[part]] = [report, footprintSection(report)]
        break
      }
      case 'times': {
        const report = await benchTimes({ note })
        ;[results[part], sections[part]] = [report, timesSection(report)]
        break
      }
      case 'create': {
        const report = await benchCreate({ rounds: rounds ?? (quick ? 3 : 10), imageMib: quick ? 64 : 512, note })
        ;[results[part], sections[part]] = [report, createSection(report)]
        break
      }
      case 'planner': {
        const report = benchPlanner({ rounds: rounds ?? (quick ? 2 : 15), note })
        ;[results[part], sections[part]] = [report, plannerSection(report)]
        break
      }
      case 'migration': {
        const report = await benchMigration({ moves: rounds ?? (quick ? 2 : 10), together: quick ? 3 : 10, note })
        ;[results[part], sections[part]] = [report, migrationSection(report)]
        break
      }
      case 'snapshot': {
        const report = await benchSnapshot({ rounds: rounds ?? (quick ? 3 : 10), note })
        ;[results[part], sections[part]] = [report, snapshotSection(report)]
        break
      }
      case 'api': {
        const report = await benchApi({ quick, note })
        ;[results[part], sections[part]] = [report, apiSection(report)]
        break
      }
      case 'web': {
        const report = await benchWeb({ quick, note })
        ;[results[part], sections[part]] = [report, webSection(report)]
        break
      }
      case 'container': {
        const report = await benchContainer({ rounds: rounds ?? (quick ? 3 : 15), quick, note })
        ;[results[part], sections[part]] = [report, containerSection(report)]
        break
      }
      case 'simulator': {
        const report = benchSimulator({ rounds: rounds ?? (quick ? 1 : 5) })
        ;[results[part], sections[part]] = [report, simulatorSection(report)]
        break
      }
    }
    if (!json) process.stdout.write(`\n${sections[part]}\n`)
    // Each part at once: a later one that fails takes nothing along.
    if (write) writePage({ [part]: sections[part] })
  }
  if (json) process.stdout.write(`${JSON.stringify({ machine: machineLine(), ...results }, null, 2)}\n`)
  return 0
}

/** Replaces the sections given; a section begins with its own marker and ends at the next one. */
function writePage(sections: Partial<Record<BenchPart, string>>): void {
  const before = existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : ''
  const kept = new Map(
    [...before.matchAll(/<!-- bench (\w+) -->\n([\s\S]*?)(?=\n<!-- bench |$)/g)].map(([, part, text]) => [
      part,
      text?.trim() ?? '',
    ]),
  )
  for (const [part, text] of Object.entries(sections)) kept.set(part, `${text?.trim()}\n\n_${machineLine()}_`)
  const ordered = BENCH_PARTS.flatMap((part) => (kept.has(part) ? [`<!-- bench ${part} -->\n${kept.get(part)}`] : []))
  writeFileSync(PAGE, `${HEAD}\n${ordered.join('\n\n')}\n`)
}

function machineLine(): string {
  const processors = cpus()
  const qemu = /version ([\d.]+)/.exec(execFileSync('qemu-system-x86_64', ['--version'], { encoding: 'utf8' }))?.[1]
  const memory = Math.round(totalmem() / 2 ** 30)
  return `${new Date().toISOString().slice(0, 10)}; ${processors.length} x ${processors[0]?.model ?? 'unknown processor'}, ${memory} GiB, Linux ${release()}, QEMU ${qemu}, Node ${process.versions.node}`
}
