/**
 * The speed and the cost of a mirrored volume against one NBD leg, side by side in one run: 4 KiB random writes at depth
 * 1 and 32, sequential writes of 4 KiB and 1 MiB, and the growth from 1 to 8 writers with a volume each.
 *
 * A writer is `qemu-img bench` on the very block graph that a guest's QEMU holds: the block layer without an emulated
 * processor, which would hide the mirror's cost behind its own. The variants take turns in short runs, and medians are
 * reported, because other work on the machine disturbs wall time. Processor time (writers and storage daemons, with the
 * kernel's part of both) is disturbed least.
 */
import { cpus, release } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { measureInGuest } from './bench-mirror-guest.ts'
import { MirrorRig, mirrorOf, processorTimeMs } from './mirror-rig.ts'
import type { RigOptions, VolumeGraph } from './mirror-rig.ts'

export interface BenchOptions {
  /** Of each single run. */
  readonly seconds: number
  /** Runs of each variant; odd, for the median. */
  readonly rounds: number
  readonly writers: readonly number[]
  /** Folder of the repository, to measure in a real guest too; undefined measures the block layer alone. */
  readonly guestFrom: string | undefined
  readonly rig: Pick<RigOptions, 'mtuBytes' | 'congestion' | 'batch' | 'aio' | 'iothreads'>
}

export const BENCH_DEFAULTS: BenchOptions = {
  seconds: 2,
  rounds: 5,
  writers: [1, 2, 4, 8],
  guestFrom: join(import.meta.dirname, '..'),
  // BBR paces each segment by a timer: twice the processor time per write on a link of microseconds. Reno is always
  // there, also in a network namespace.
  rig: { mtuBytes: 9000, congestion: 'reno', batch: true, aio: 'native', iothreads: false },
}

export interface Measure {
  /** Writes a second, all writers together. */
  readonly writesPerSecond: number
  /** Processor time of each write in the writer (the guest's QEMU), microseconds. */
  readonly writerCpuMicros: number
  /** Processor time of each write in the storage daemons, microseconds. */
  readonly storageCpuMicros: number
  /** The sum of both. */
  readonly cpuMicros: number
}

export interface BenchRow {
  readonly name: string
  readonly transport: 'cable' | 'socket'
  /** Who wrote: `qemu-img bench` on the guest's block graph, or an emulated guest. */
  readonly writer: 'block layer' | 'guest'
  readonly writers: number
  readonly depth: number
  readonly blockBytes: number
  /** One replica only: the local one, and the other host's. */
  readonly localLeg: Measure
  readonly remoteLeg: Measure
  /** The mean of the two legs: like is compared with like, since the mirror uses one of each. */
  readonly oneLeg: Measure
  readonly mirrored: Measure
  /** mirrored / oneLeg, in writes per second. */
  readonly ratio: number
  readonly ratioToLocalLeg: number
  readonly ratioToRemoteLeg: number
  /** mirrored / oneLeg, in processor time per write. */
  readonly cpuRatio: number
}

export interface BenchTable {
  readonly machine: string
  readonly options: BenchOptions
  readonly rows: readonly BenchRow[]
}

interface Load {
  readonly name: string
  readonly depth: number
  readonly blockBytes: number
  /** Distance between two writes: odd in blocks and large, the writes visit all blocks out of order. */
  readonly stepBytes: number
}

const KIB = 1024
const SCATTER = 1021 * 4 * KIB
const LOADS: readonly Load[] = [
  { name: '4 KiB random, depth 1', depth: 1, blockBytes: 4 * KIB, stepBytes: SCATTER },
  { name: '4 KiB random, depth 32', depth: 32, blockBytes: 4 * KIB, stepBytes: SCATTER },
  { name: '4 KiB sequential, depth 1', depth: 1, blockBytes: 4 * KIB, stepBytes: 4 * KIB },
  { name: '4 KiB sequential, depth 32', depth: 32, blockBytes: 4 * KIB, stepBytes: 4 * KIB },
  { name: '1 MiB sequential, depth 4', depth: 4, blockBytes: 1024 * KIB, stepBytes: 1024 * KIB },
]
const GROWTH: Load = { name: '4 KiB random, depth 8 each', depth: 8, blockBytes: 4 * KIB, stepBytes: SCATTER }
const VOLUME_BYTES = 64 * KIB * KIB
/** Writes of the first, unreported run, from which the count for `seconds` is estimated. */
const WARM_UP_WRITES = 300

export async function benchMirror(options: Partial<BenchOptions> = {}): Promise<BenchTable> {
  const chosen: BenchOptions = { ...BENCH_DEFAULTS, ...options, rig: { ...BENCH_DEFAULTS.rig, ...options.rig } }
  const rows = chosen.guestFrom === undefined ? [] : await compareInGuest(chosen, chosen.guestFrom)
  for (const transport of ['cable', 'socket'] as const) {
    const writersMax = transport === 'cable' ? Math.max(1, ...chosen.writers) : 1
    const rig = await MirrorRig.create({ ...chosen.rig, transport, volumes: writersMax, bytes: VOLUME_BYTES })
    try {
      for (const load of LOADS) rows.push(await compare(rig, chosen, transport, load, 1))
      if (transport === 'cable')
        for (const writers of chosen.writers) rows.push(await compare(rig, chosen, transport, GROWTH, writers))
    } finally {
      await rig.close()
    }
  }
  const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}, Linux ${release()}`
  return { machine, options: chosen, rows }
}

export type Variant = 'localLeg' | 'remoteLeg' | 'mirrored'

async function compare(
  rig: MirrorRig,
  options: BenchOptions,
  transport: 'cable' | 'socket',
  load: Load,
  writers: number,
): Promise<BenchRow> {
  const graphs = (variant: Variant): VolumeGraph[] =>
    Array.from({ length: writers }, (_, volume) => {
      const { local, remote } = rig.legs(volume)
      return { localLeg: local, remoteLeg: remote, mirrored: mirrorOf(local, remote) }[variant]
    })
  const runs: Record<Variant, Measure[]> = { localLeg: [], remoteLeg: [], mirrored: [] }
  for (let round = 0; round <= options.rounds; round++) {
    for (const variant of Object.keys(runs) as Variant[]) {
      const before = runs[variant].at(-1)
      const writes =
        before === undefined ? WARM_UP_WRITES : Math.ceil((before.writesPerSecond / writers) * options.seconds)
      runs[variant].push(await measure(rig, graphs(variant), load, Math.max(WARM_UP_WRITES, writes)))
    }
  }
  for (const measures of Object.values(runs)) measures.shift()
  return rowOf(runs, {
    name: load.name,
    transport,
    writer: 'block layer',
    writers,
    depth: load.depth,
    blockBytes: load.blockBytes,
  })
}

async function compareInGuest(options: BenchOptions, repository: string): Promise<BenchRow[]> {
  const load = { depths: [1, 32], rounds: options.rounds, seconds: Math.max(1, Math.round(options.seconds)) }
  const measured = await measureInGuest(repository, options.rig, load)
  return [...measured].map(([depth, runs]) =>
    rowOf(runs, {
      name: `4 KiB random, depth ${depth}`,
      transport: 'cable',
      writer: 'guest',
      writers: 1,
      depth,
      blockBytes: 4 * KIB,
    }),
  )
}

function rowOf(
  runs: Record<Variant, Measure[]>,
  what: Pick<BenchRow, 'name' | 'transport' | 'writer' | 'writers' | 'depth' | 'blockBytes'>,
): BenchRow {
  const localLeg = medianOf(runs.localLeg)
  const remoteLeg = medianOf(runs.remoteLeg)
  const mirrored = medianOf(runs.mirrored)
  const oneLeg = combine([localLeg, remoteLeg], (values) => values.reduce((sum, one) => sum + one, 0) / values.length)
  return {
    ...what,
    ...{ localLeg, remoteLeg, oneLeg, mirrored },
    ratio: mirrored.writesPerSecond / oneLeg.writesPerSecond,
    ratioToLocalLeg: mirrored.writesPerSecond / localLeg.writesPerSecond,
    ratioToRemoteLeg: mirrored.writesPerSecond / remoteLeg.writesPerSecond,
    cpuRatio: mirrored.cpuMicros / oneLeg.cpuMicros,
  }
}

async function measure(rig: MirrorRig, graphs: readonly VolumeGraph[], load: Load, writes: number): Promise<Measure> {
  const storageBefore = rig.storage.map(processorTimeMs)
  const outputs = await Promise.all(graphs.map((graph) => rig.run(writerCommand(graph, load, writes))))
  const storageMs = rig.storage.reduce((sum, pid, index) => sum + processorTimeMs(pid) - (storageBefore[index] ?? 0), 0)
  let writesPerSecond = 0
  let writerSeconds = 0
  for (const output of outputs) {
    const found = /completed in ([\d.]+) seconds[\s\S]*cpu ([\d.]+) ([\d.]+)/.exec(output)
    if (found === null) throw new Error(`qemu-img bench printed something else: ${output}`)
    writesPerSecond += writes / Number(found[1])
    writerSeconds += Number(found[2]) + Number(found[3])
  }
  const total = writes * graphs.length
  const writerCpuMicros = (writerSeconds * 1e6) / total
  const storageCpuMicros = (storageMs * 1e3) / total
  return { writesPerSecond, writerCpuMicros, storageCpuMicros, cpuMicros: writerCpuMicros + storageCpuMicros }
}

/** bash's `time` is the plainest way to the processor time of a child that has ended. */
function writerCommand(graph: VolumeGraph, load: Load, writes: number): string[] {
  const { depth, blockBytes, stepBytes } = load
  const bench = [
    'qemu-img',
    'bench',
    '-w',
    '-d',
    depth,
    '-c',
    writes,
    '-s',
    blockBytes,
    '-S',
    stepBytes,
    `json:${JSON.stringify(graph)}`,
  ]
  return ['bash', '-c', 'TIMEFORMAT="cpu %U %S"; time setpriv --pdeathsig KILL "$@"', 'bash', ...bench.map(String)]
}

function medianOf(measures: readonly Measure[]): Measure {
  return combine(measures, (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN)
}

function combine(measures: readonly Measure[], fold: (values: number[]) => number): Measure {
  return {
    writesPerSecond: fold(measures.map((one) => one.writesPerSecond)),
    writerCpuMicros: fold(measures.map((one) => one.writerCpuMicros)),
    storageCpuMicros: fold(measures.map((one) => one.storageCpuMicros)),
    cpuMicros: fold(measures.map((one) => one.cpuMicros)),
  }
}

/** The table in Markdown, for `docs/benchmarks.md`. */
export function markdownOf(table: BenchTable): string {
  const cell = (one: Measure): string =>
    `${Math.round(one.writesPerSecond)} /s, ${one.cpuMicros.toFixed(0)} µs (${one.writerCpuMicros.toFixed(0)} in QEMU)`
  const lines = table.rows.map((row) => {
    const name = `${row.name}${row.writers > 1 ? `, ${row.writers} writers` : ''}`
    const ratios = [row.ratio, row.ratioToLocalLeg, row.ratioToRemoteLeg, row.cpuRatio].map((ratio) => ratio.toFixed(2))
    return `| ${row.writer} | ${row.transport} | ${name} | ${cell(row.localLeg)} | ${cell(row.remoteLeg)} | ${cell(row.mirrored)} | ${ratios.join(' | ')} |`
  })
  return [
    `${table.machine}. ${table.options.rounds} runs of ${table.options.seconds} s each, medians; processor time is per write.`,
    '',
    '| writer | second replica by | load | local leg | remote leg | mirrored | ratio to mean leg | to local | to remote | CPU ratio |',
    '|---|---|---|---|---|---|---|---|---|---|',
    ...lines,
  ].join('\n')
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      ...{
        seconds: { type: 'string' },
        rounds: { type: 'string' },
        writers: { type: 'string' },
        mtu: { type: 'string' },
      },
      ...{
        congestion: { type: 'string' },
        aio: { type: 'string' },
        'no-batch': { type: 'boolean' },
        'no-guest': { type: 'boolean' },
        iothreads: { type: 'boolean' },
        json: { type: 'boolean' },
      },
    },
  })
  const table = await benchMirror({
    seconds: Number(values.seconds ?? BENCH_DEFAULTS.seconds),
    rounds: Number(values.rounds ?? BENCH_DEFAULTS.rounds),
    writers: values.writers?.split(',').map(Number) ?? BENCH_DEFAULTS.writers,
    ...(values['no-guest'] === true ? { guestFrom: undefined } : {}),
    rig: {
      mtuBytes: Number(values.mtu ?? BENCH_DEFAULTS.rig.mtuBytes),
      congestion: values.congestion ?? BENCH_DEFAULTS.rig.congestion,
      batch: values['no-batch'] !== true,
      iothreads: values.iothreads === true,
      aio: (values.aio as RigOptions['aio'] | undefined) ?? BENCH_DEFAULTS.rig.aio,
    },
  })
  console.log(values.json === true ? JSON.stringify(table, null, 2) : markdownOf(table))
}
