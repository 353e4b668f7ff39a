/** Containers: how long they take to be there, to be spoken to and to move, in turns with Incus where it is installed. */
import { mkdtempSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildBusyboxRoot } from '@stead/cli/template-build/busybox-root.ts'
import { ContainerCalls } from './bench-container-calls.ts'
import { benchCrowd, type CrowdReport } from './bench-container-crowd.ts'
import { benchDisk, type DiskRow } from './bench-container-disk.ts'
import { benchNeighbours, type NeighbourRow } from './bench-container-neighbours.ts'
import { IncusRig } from './bench-incus.ts'
import { BenchLab, spread, type Spread } from './bench-lab.ts'

export interface LifecycleReport {
  readonly createMs: {
    /** Of a root that is a subvolume on btrfs. */
    readonly native: Spread
    readonly plain: Spread
    readonly mirrored: Spread
    readonly incus: Spread | undefined
  }
  readonly execMs: { readonly stead: Spread; readonly incus: Spread | undefined }
  readonly stopMs: { readonly stead: Spread; readonly incus: Spread | undefined }
  readonly moveMs: Spread
}

export interface ContainerReport {
  /** The machine's load average (one minute) before anything was begun: what else it had to do. */
  readonly loadBefore: number
  readonly lifecycle: LifecycleReport
  readonly crowd: CrowdReport
  readonly disk: readonly DiskRow[]
  readonly neighbours: readonly NeighbourRow[]
}

export interface ContainerOptions {
  readonly rounds: number
  readonly quick: boolean
  readonly note: (text: string) => void
}

const HOST = 'h1'
const AWAY = 'h2'
const EXECS = 5

export async function benchContainer({ rounds, quick, note }: ContainerOptions): Promise<ContainerReport> {
  const loadBefore = loadavg()[0] ?? 0
  const folder = mkdtempSync(join(tmpdir(), 'stead-bench-'))
  let incus: IncusRig | undefined
  const lab = await BenchLab.up({ btrfsPool: true })
  try {
    await lab.cluster.must('template', 'build', 'busybox')
    // A processor is what each may take at most; two hundred of them on a host of two are meant to share.
    await lab.cluster.must('policy', 'set', '--cpu-overcommit', '500')
    const calls = new ContainerCalls(lab.cluster.clientOf([HOST]), HOST)
    if (IncusRig.isInstalled) incus = await IncusRig.up(await buildBusyboxRoot(folder, new AbortController().signal))
    else note('Incus is not installed: it is left out')
    const lifecycle = await benchLifecycle({ calls, incus, rounds, note })
    await lab.cluster.must(
      'ct',
      'create',
      'disk',
      '--template',
      'busybox',
      '--memory',
      '64MiB',
      '--disk',
      '256MiB',
      '--host',
      HOST,
      '--limit',
      'iolimit=unlimited',
      '--start',
    )
    await lab.cluster.untilProtected('disk')
    const disk = await benchDisk(lab, { guest: 'disk', host: HOST }, { rounds: quick ? 1 : rounds, seconds: 1, note })
    await calls.remove('disk')
    const neighbours = await benchNeighbours({ lab, calls }, { rounds: quick ? 1 : Math.ceil(rounds / 3), note })
    const crowd = await benchCrowd(
      { lab, calls, incus, host: HOST },
      { containers: quick ? 10 : 200, watchMs: quick ? 10_000 : 40_000, note },
    )
    return { loadBefore, lifecycle, crowd, disk, neighbours }
  } finally {
    await incus?.close()
    await lab.down()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** In turns, so that what else the machine does meets all alike. The first round is not counted. */
async function benchLifecycle(wanted: {
  readonly calls: ContainerCalls
  readonly incus: IncusRig | undefined
  readonly rounds: number
  readonly note: (text: string) => void
}): Promise<LifecycleReport> {
  const { calls, incus, rounds, note } = wanted
  const times = {
    native: [],
    plain: [],
    mirrored: [],
    incus: [],
    exec: [],
    incusExec: [],
    stop: [],
    incusStop: [],
    move: [],
  } as Record<
    'native' | 'plain' | 'mirrored' | 'incus' | 'exec' | 'incusExec' | 'stop' | 'incusStop' | 'move',
    number[]
  >
  for (let round = 0; round <= rounds; round++) {
    if (round === 1) for (const each of Object.values(times)) each.length = 0
    times.native.push(await calls.createAndStart('native', { replicas: 1, nativeRoot: true }))
    times.plain.push(await calls.createAndStart('plain', { replicas: 1 }))
    times.mirrored.push(await calls.createAndStart('mirrored', { replicas: 2 }))
    if (incus) times.incus.push(await incus.createAndStart('c1'))
    for (let exec = 0; exec < EXECS; exec++) {
      times.exec.push(await calls.exec('mirrored'))
      if (incus) times.incusExec.push(await incus.exec('c1'))
    }
    times.stop.push(await calls.stop('plain'))
    if (incus) times.incusStop.push(await incus.stop('c1'))
    times.move.push(await calls.move('mirrored', AWAY))
    await calls.remove('native')
    await calls.remove('plain')
    await calls.remove('mirrored')
    if (incus) await incus.remove('c1')
    note(
      `round ${round}: ${Object.entries(times)
        .map(([name, values]) => `${name} ${values.at(-1)?.toFixed(0) ?? '-'}`)
        .join(', ')} ms`,
    )
  }
  const of = (values: readonly number[]) => (values.length === 0 ? undefined : spread(values))
  return {
    createMs: {
      native: spread(times.native),
      plain: spread(times.plain),
      mirrored: spread(times.mirrored),
      incus: of(times.incus),
    },
    execMs: { stead: spread(times.exec), incus: of(times.incusExec) },
    stopMs: { stead: spread(times.stop), incus: of(times.incusStop) },
    moveMs: spread(times.move),
  }
}
