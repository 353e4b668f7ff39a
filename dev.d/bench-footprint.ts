/**
 * What a host's daemons cost when nothing happens: memory and processor time of agent, guardian, deadman and etcd with
 * ten small guests on three hosts.
 *
 * RSS counts a page that processes share (Node's binary, libc) once for each of them, so a sum of it is an upper bound.
 * PSS divides such a page by its sharers; but in a lab three hosts share one machine's page cache, which flatters it.
 * What a host of its own would take lies between: private memory, and each file's pages once (`aloneMiB`).
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ROOT } from './run-program.ts'
import { BenchLab, sum } from './bench-lab.ts'
import { GUEST_APPEND } from '@stead/lab/guest-image.ts'
import { AGENT_FILE } from '@stead/lab/lab-host.ts'

export type DaemonKind = 'agent' | 'guardian' | 'deadman' | 'etcd' | 'qsd' | 'qemu'

export interface DaemonCost {
  readonly kind: DaemonKind
  readonly processes: number
  readonly rssMiB: number
  readonly pssMiB: number
  /** Of one core. */
  readonly cpuPercent: number
}

export interface HostCost {
  readonly host: string
  readonly guests: number
  readonly daemons: readonly DaemonCost[]
  /** Agent, guardian, deadman and etcd together. */
  readonly rssMiB: number
  readonly pssMiB: number
  /** What they would take on a host of its own: see above. */
  readonly aloneMiB: number
  readonly cpuPercent: number
}

export interface FootprintReport {
  readonly seconds: number
  readonly guests: number
  readonly hosts: readonly HostCost[]
}

export const FOOTPRINT_TARGET = { memoryMiB: 220, cpuPercent: 2 }
const GUESTS = 10
/** After the last guest's start: its boot, the first rotation checks and V8's own clean-up are over. */
const SETTLE_SECONDS = 40

export async function benchFootprint(options: {
  readonly seconds: number
  readonly settleSeconds?: number
  readonly note: (text: string) => void
}): Promise<FootprintReport> {
  const lab = await BenchLab.up()
  try {
    for (let index = 0; index < GUESTS; index++) {
      await lab.cluster.must(
        ...[
          'vm',
          'create',
          `g${index}`,
          '--memory',
          '128MiB',
          '--cpus',
          '1',
          '--disk',
          '16MiB',
          '--host',
          `h${(index % 3) + 1}`,
        ],
        ...['--kernel', join(ROOT, '.cache/guest/kernel/vmlinuz'), '--initrd', join(ROOT, '.cache/guest/initrd.img')],
        ...['--append', `${GUEST_APPEND} stead.run=idle`, '--start'],
      )
    }
    options.note(`footprint: ${GUESTS} guests run; the daemons come to rest`)
    await sleep(1000 * (options.settleSeconds ?? SETTLE_SECONDS))
    return {
      seconds: options.seconds,
      guests: GUESTS,
      hosts: await measureHosts(lab.processesByHost(), options.seconds),
    }
  } finally {
    await lab.down()
  }
}

/** Measures running daemons: pids by host, as this machine counts them. */
export async function measureHosts(
  processes: ReadonlyMap<string, readonly number[]>,
  seconds: number,
): Promise<HostCost[]> {
  const seen = [...processes].flatMap(([host, pids]) =>
    pids.flatMap((pid) => {
      const kind = kindOf(pid)
      return kind === undefined ? [] : [{ host, pid, kind, startCpuMs: processorMs(pid) }]
    }),
  )
  const startedMs = performance.now()
  await sleep(seconds * 1000)
  const elapsedMs = performance.now() - startedMs
  return [...processes.keys()].map((host) => {
    const mine = seen.filter((one) => one.host === host)
    const daemons = (['agent', 'guardian', 'deadman', 'etcd', 'qsd', 'qemu'] as const).map((kind): DaemonCost => {
      const of = mine.filter((one) => one.kind === kind)
      const memory = of.map(({ pid }) => memoryOf(pid))
      return {
        kind,
        processes: of.length,
        rssMiB: sum(memory.map((one) => one.rssMiB)),
        pssMiB: sum(memory.map((one) => one.pssMiB)),
        cpuPercent: sum(of.map(({ pid, startCpuMs }) => (100 * (processorMs(pid) - startCpuMs)) / elapsedMs)),
      }
    })
    const isOurs = (kind: DaemonKind) => kind !== 'qsd' && kind !== 'qemu'
    const ours = daemons.filter(({ kind }) => isOurs(kind))
    return {
      host,
      guests: mine.filter(({ kind }) => kind === 'qemu').length,
      daemons,
      rssMiB: sum(ours.map((one) => one.rssMiB)),
      pssMiB: sum(ours.map((one) => one.pssMiB)),
      aloneMiB: aloneMiB(mine.filter(({ kind }) => isOurs(kind)).map(({ pid }) => pid)),
      cpuPercent: sum(ours.map((one) => one.cpuPercent)),
    }
  })
}

/** Undefined: none of ours. */
export function kindOf(pid: number): DaemonKind | undefined {
  const [program = '', ...args] = read(pid, 'cmdline').split('\0')
  if (/(^|\/)etcd$/.test(program)) return 'etcd'
  if (program.endsWith('stead-deadman')) return 'deadman'
  if (program.endsWith('qemu-storage-daemon')) return 'qsd'
  if (/qemu-system-[^/]*$/.test(program)) return 'qemu'
  if (!/(^|\/)node$/.test(program)) return undefined
  if (args.some((word) => word.endsWith('/guardian-main.ts'))) return 'guardian'
  return args.some((word) => AGENT_FILE.test(word)) ? 'agent' : undefined
}

/** All threads together, in the scheduler's nanoseconds: ticks are too coarse for what runs 100 microseconds at a time. */
export function processorMs(pid: number): number {
  return sum(threadsOf(pid).map((thread) => Number(read(pid, `task/${thread}/schedstat`).split(' ')[0] ?? 0) / 1e6))
}

function memoryOf(pid: number): { readonly rssMiB: number; readonly pssMiB: number } {
  const text = read(pid, 'smaps_rollup')
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0)
  return { rssMiB: kib('Rss') / 1024, pssMiB: kib('Pss') / 1024 }
}

/** Anonymous memory of each process, and of each file the most that one of them has of it. */
function aloneMiB(pids: readonly number[]): number {
  let anonymousKib = 0
  const files = new Map<string, number>()
  for (const pid of pids) {
    const mine = new Map<string, number>()
    let file = ''
    for (const line of read(pid, 'smaps').split('\n')) {
      const mapping = /^[0-9a-f]+-[0-9a-f]+ \S+ (\S+) \S+ \d+\s*(.*)$/.exec(line)
      if (mapping) file = mapping[2]?.startsWith('/') ? `${mapping[2]} ${mapping[1]}` : ''
      const [, name, kib] = /^(Rss|Anonymous):\s+(\d+) kB/.exec(line) ?? []
      if (name === 'Rss' && file !== '') mine.set(file, (mine.get(file) ?? 0) + Number(kib))
      if (name === 'Rss' && file === '') anonymousKib += Number(kib)
      if (name !== 'Anonymous' || file === '') continue
      anonymousKib += Number(kib)
      mine.set(file, (mine.get(file) ?? 0) - Number(kib))
    }
    for (const [path, kib] of mine) files.set(path, Math.max(files.get(path) ?? 0, kib))
  }
  return (anonymousKib + sum([...files.values()])) / 1024
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
}

/** Empty when the process has ended meanwhile: it then counts as nothing. */
function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}
