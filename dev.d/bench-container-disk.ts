/** A container's root on its mirror against ext4 on a plain loop device, in the same host, in turns. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BenchLab } from './bench-lab.ts'
import { processorTimeMs } from './mirror-rig.ts'

export interface DiskLoad {
  readonly name: string
  readonly write: boolean
  readonly depth: number
  readonly blockBytes: number
  readonly stepBytes: number
  /** fdatasync after so many requests. */
  readonly flushEvery?: number
}

export interface DiskRow {
  readonly load: string
  /** Requests a second, medians. */
  readonly plain: number
  readonly mirrored: number
  /** Processor time of one request on the mirror, µs: all of it in that process. */
  readonly micros: { readonly steadDisk: number; readonly front: number; readonly storage: number }
}

const KIB = 1024
const MIB = 2 ** 20
const FILE_MIB = 96
/** Far apart and, with the size of the file, never the same twice in a round: the head of a disk would jump, a cache is of no use. */
const FAR = 17 * MIB + 36 * KIB

const LOADS: readonly DiskLoad[] = [
  { name: '4 KiB write and fdatasync', write: true, depth: 1, blockBytes: 4 * KIB, stepBytes: 4 * KIB, flushEvery: 1 },
  { name: '4 KiB random write, depth 1', write: true, depth: 1, blockBytes: 4 * KIB, stepBytes: FAR },
  { name: '4 KiB random write, depth 32', write: true, depth: 32, blockBytes: 4 * KIB, stepBytes: FAR },
  { name: '1 MiB sequential write, depth 4', write: true, depth: 4, blockBytes: MIB, stepBytes: MIB },
  { name: '4 KiB random read, depth 32', write: false, depth: 32, blockBytes: 4 * KIB, stepBytes: FAR },
  { name: '1 MiB sequential read, depth 4', write: false, depth: 4, blockBytes: MIB, stepBytes: MIB },
]

/** `guest`: a container on `host` with two replicas and room for the file. */
export async function benchDisk(
  lab: BenchLab,
  target: { readonly guest: string; readonly host: string },
  options: { readonly rounds: number; readonly seconds: number; readonly note: (text: string) => void },
): Promise<readonly DiskRow[]> {
  const { guest, host } = target
  const { id } = await lab.cluster.guest(guest)
  const folder = lab.cluster.hostFolder(host)
  const plain = join(folder, 'plain')
  const shell = (script: string) => lab.cluster.must('lab', 'exec', host, '--', 'sh', '-ec', script)
  await shell(`mkdir ${plain}; truncate -s 256M ${plain}.raw
    loop=$(losetup --find --show --direct-io=on ${plain}.raw)
    mkfs.ext4 -q -E nodiscard,lazy_itable_init=0 $loop; mount -o noatime $loop ${plain}; losetup --detach $loop`)
  try {
    const files = { plain: join(plain, 'bench'), mirrored: join(folder, 'containers', id, 'rootfs', 'bench') }
    for (const file of Object.values(files))
      await shell(`dd if=/dev/zero of=${file} bs=1M count=${FILE_MIB} conv=fsync`)
    const rows: DiskRow[] = []
    for (const load of LOADS) {
      const measured: Record<keyof typeof files, number[]> = { plain: [], mirrored: [] }
      const micros = { steadDisk: 0, front: 0, storage: 0 }
      let requests = 0
      // The first run of each tells how many requests fill the time, and warms up.
      const counts = { plain: 500, mirrored: 500 }
      for (let round = -1; round < options.rounds; round++) {
        for (const side of ['plain', 'mirrored'] as const) {
          const before = processorTimes(lab, id)
          const perSecond = await run(shell, files[side], load, counts[side])
          if (side === 'mirrored' && round >= 0) {
            const after = processorTimes(lab, id)
            for (const part of ['steadDisk', 'front', 'storage'] as const)
              micros[part] += (after[part] - before[part]) * 1000
            requests += counts[side]
          }
          if (round >= 0) measured[side].push(perSecond)
          counts[side] = Math.max(200, Math.round(perSecond * options.seconds))
        }
      }
      const row = {
        load: load.name,
        plain: median(measured.plain),
        mirrored: median(measured.mirrored),
        micros: {
          steadDisk: micros.steadDisk / requests,
          front: micros.front / requests,
          storage: micros.storage / requests,
        },
      }
      options.note(
        `${load.name}: plain ${row.plain.toFixed(0)}/s, mirrored ${row.mirrored.toFixed(0)}/s, ratio ${(row.mirrored / row.plain).toFixed(2)}; ${JSON.stringify(row.micros)}`,
      )
      rows.push(row)
    }
    await shell(`rm ${files.mirrored}`)
    return rows
  } finally {
    await shell(`umount ${plain}; rm -r ${plain} ${plain}.raw`)
  }
}

async function run(
  shell: (script: string) => Promise<string>,
  file: string,
  load: DiskLoad,
  count: number,
): Promise<number> {
  const { write, depth, blockBytes, stepBytes, flushEvery } = load
  const options = [
    ...(write ? ['-w'] : []),
    ...(flushEvery === undefined ? [] : [`--flush-interval=${flushEvery}`]),
    ...['-t', 'none', '-i', 'native', '-f', 'raw', '-d', depth, '-c', count, '-s', blockBytes, '-S', stepBytes],
  ]
  const said = await shell(`timeout 60 qemu-img bench ${options.join(' ')} ${file}`)
  const seconds = Number(/completed in ([\d.]+) seconds/.exec(said)?.[1])
  if (!(seconds > 0)) throw new Error(`qemu-img bench printed something else: ${said}`)
  return count / seconds
}

function processorTimes(lab: BenchLab, guest: string) {
  const times = { steadDisk: 0, front: 0, storage: 0 }
  for (const pids of lab.processesByHost().values())
    for (const pid of pids) {
      const command = commandLine(pid)
      const part = command.includes('stead-disk\0')
        ? 'steadDisk'
        : command.startsWith('qemu-system')
          ? 'front'
          : command.includes('qemu-storage-daemon')
            ? 'storage'
            : undefined
      if (part === undefined || (part !== 'storage' && part === 'steadDisk' && !command.includes(guest))) continue
      times[part] += processorTimeMs(pid)
    }
  return times
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
