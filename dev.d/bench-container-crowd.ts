/** Many containers on one host: how long a look at all of them takes, and what the agent needs for them. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ContainerCalls } from './bench-container-calls.ts'
import { timed } from './bench-container-calls.ts'
import { kindOf, processorMs } from './bench-footprint.ts'
import type { IncusRig } from './bench-incus.ts'
import { spread, type BenchLab, type Spread } from './bench-lab.ts'

export interface CrowdReport {
  readonly containers: number
  /** Of the list with states, and of what all of them use, ms. */
  readonly listMs: Spread
  readonly usesMs: Spread
  /** Incus's list with the state of each (`recursion=2`), ms. */
  readonly incusListMs: Spread | undefined
  /** Of the agent's memory, for each container; and of Incus's daemon. */
  readonly agentBytesEach: number
  readonly incusBytesEach: number | undefined
  /** Processor time of the agent while nobody asks it anything, percent of a core: without them, and with. */
  readonly idlePercent: number
  readonly crowdPercent: number
}

/** Two hundred of them are to fit into a pool of the lab. */
const DISK_MIB = 64

/** They pay for what is read, compiled and kept once; what each further one costs is the growth after them. */
const FIRST = 10

const SETTLE_MS = 15_000
const LOOKS = 15
const AT_A_TIME = 4

export async function benchCrowd(
  { lab, calls, incus, host }: { lab: BenchLab; calls: ContainerCalls; incus: IncusRig | undefined; host: string },
  options: { readonly containers: number; readonly watchMs: number; readonly note: (text: string) => void },
): Promise<CrowdReport> {
  const { containers, watchMs, note } = options
  const agent = agentOf(lab, host)
  await sleep(SETTLE_MS)
  const idlePercent = await processorPercent(agent, watchMs)
  const make = (at: number) => calls.createAndStart(`crowd${at}`, { replicas: 1, diskMib: DISK_MIB, memoryMib: 16 })
  await each(FIRST, note, make)
  await sleep(SETTLE_MS)
  const before = memoryBytes(agent)
  await each(containers - FIRST, note, (at) => make(FIRST + at))
  await sleep(SETTLE_MS)
  const agentBytesEach = (memoryBytes(agent) - before) / (containers - FIRST)
  const crowdPercent = await processorPercent(agent, watchMs)
  const looks = []
  for (let look = 0; look < LOOKS; look++) looks.push(await calls.list())
  note(
    `${containers} containers: list ${spread(looks.map(({ listMs }) => listMs)).median.toFixed(0)} ms, ${(agentBytesEach / 1024).toFixed(0)} KiB each, ${crowdPercent.toFixed(2)} % of a core`,
  )
  const listed = looks.at(-1)?.count ?? 0
  if (listed < containers) throw new Error(`${listed} of ${containers} containers are listed`)
  const other = incus === undefined ? undefined : await crowdOfIncus(incus, containers, note)
  return {
    containers,
    listMs: spread(looks.map(({ listMs }) => listMs)),
    usesMs: spread(looks.map(({ usesMs }) => usesMs)),
    ...{ incusListMs: other?.listMs, agentBytesEach, incusBytesEach: other?.bytesEach, idlePercent, crowdPercent },
  }
}

async function crowdOfIncus(incus: IncusRig, containers: number, note: (text: string) => void) {
  const daemon = incus.daemonPid
  const before = memoryBytes(daemon)
  await each(containers, note, (at) => incus.createAndStart(`crowd${at}`))
  await sleep(SETTLE_MS)
  const bytesEach = (memoryBytes(daemon) - before) / containers
  const times: number[] = []
  for (let look = 0; look < LOOKS; look++)
    times.push(await timed(async () => void (await incus.done('GET', '/1.0/instances?recursion=2'))))
  note(`Incus, ${containers} containers: list ${spread(times).median.toFixed(0)} ms`)
  return { listMs: spread(times), bytesEach }
}

async function each(
  count: number,
  note: (text: string) => void,
  make: (at: number) => Promise<unknown>,
): Promise<void> {
  let next = 0
  const work = async () => {
    while (next < count) {
      const at = next++
      await make(at)
      if (at % 50 === 49) note(`${at + 1} made`)
    }
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, work))
}

function agentOf(lab: BenchLab, host: string): number {
  const found = (lab.processesByHost().get(host) ?? []).find((pid) => kindOf(pid) === 'agent')
  if (found === undefined) throw new Error(`${host} has no agent`)
  return found
}

function memoryBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
}

async function processorPercent(pid: number, ms: number): Promise<number> {
  const before = processorMs(pid)
  await sleep(ms)
  return ((processorMs(pid) - before) / ms) * 100
}
