/** What a pool lies on, and what the kernel counts of it. A file system that hangs is left out, and asked no more until it answers. */
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { PoolReading, StorageCounters } from '@stead/core/ports/host-meters.ts'
import { readText } from '../container/cgroups/cgroup-tree.ts'

export interface PoolPlace {
  readonly name: string
  readonly path: string
}

const SECTOR_BYTES = 512
const ANSWER_MS = 1_000

export class PoolReadings {
  readonly #pools: readonly PoolPlace[]
  readonly #asked = new Set<string>()

  constructor(pools: readonly PoolPlace[]) {
    this.#pools = pools
  }

  async read(): Promise<ReadonlyMap<string, PoolReading>> {
    const readings = await Promise.all(this.#pools.map(async (pool) => [pool.name, await this.#readOne(pool)] as const))
    return new Map(readings.flatMap(([name, reading]) => (reading ? [[name, reading] as const] : [])))
  }

  async #readOne({ name, path }: PoolPlace): Promise<PoolReading | undefined> {
    // Each question to a hanging file system keeps one of Node's four threads for itself.
    if (this.#asked.has(name)) return undefined
    this.#asked.add(name)
    const answered = Promise.all([statfs(path), stat(path)]).finally(() => this.#asked.delete(name))
    const answer = await withinTime(answered.catch(() => undefined))
    if (!answer) return undefined
    const [{ bsize, blocks, bfree }, { dev }] = answer
    const device = diskOf(dev)
    const counted = device === undefined ? undefined : countersOf(device)
    return {
      ...counted,
      device: device ?? `dev:${dev}`,
      usedBytes: (blocks - bfree) * bsize,
    }
  }
}

async function withinTime<T>(answer: Promise<T | undefined>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(resolve, ANSWER_MS, undefined)))
  return Promise.race([answer, late]).finally(() => clearTimeout(timer))
}

/** The folder of the disk below `/sys`; undefined of what is no disk of this host, as a share of another. */
function diskOf(dev: number): string | undefined {
  const numbers = major(dev) === 0 ? mountedDevice(dev) : `${major(dev)}:${minor(dev)}`
  if (numbers === undefined) return undefined
  try {
    const folder = realpathSync(`/sys/dev/block/${numbers}`)
    // What else is on the disk makes a partition's requests wait as well.
    return readdirSync(folder).includes('partition') ? dirname(folder) : folder
  } catch {
    return undefined
  }
}

/** Btrfs and others have device numbers of their own: the mount says what is below. */
function mountedDevice(dev: number): string | undefined {
  const own = `${major(dev)}:${minor(dev)}`
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [mount = '', rest = ''] = line.split(' - ')
    const source = rest.split(' ')[1]
    if (mount.split(' ')[2] !== own || !source?.startsWith('/dev/')) continue
    try {
      const { rdev } = statSync(source)
      return `${major(rdev)}:${minor(rdev)}`
    } catch {
      return undefined
    }
  }
  return undefined
}

/** As the kernel packs them: 12 bits for the one, 20 for the other (`makedev(3)`). */
const major = (dev: number) => (dev >> 8) & 0xfff
const minor = (dev: number) => (dev & 0xff) | ((dev >> 12) & 0xfff00)

/** https://docs.kernel.org/block/stat.html */
function countersOf(disk: string): { readonly storage: StorageCounters; readonly busyMs: number } | undefined {
  const text = readText(join(disk, 'stat'))
  if (text === undefined) return undefined
  const [reads, , readSectors, readMs, writes, , writtenSectors, writeMs, , busyMs] = text
    .trim()
    .split(/\s+/)
    .map(Number)
  if (busyMs === undefined) return undefined
  return {
    storage: {
      ...{ reads: reads!, writes: writes!, readMs: readMs!, writeMs: writeMs! },
      readBytes: readSectors! * SECTOR_BYTES,
      writtenBytes: writtenSectors! * SECTOR_BYTES,
    },
    busyMs,
  }
}
