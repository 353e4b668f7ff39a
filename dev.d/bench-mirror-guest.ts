/**
 * The same comparison as `bench-mirror.ts`, as a guest sees it: one emulated guest with three disks (the local leg, the
 * other host's leg, the mirror of both), whose `recorder randwrite` takes turns on them. One guest with three disks, so
 * that all three are measured in one boot, with the same kernel and the same noise.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { GUEST_APPEND, buildGuestImage } from '@stead/lab/guest-image.ts'
import { MirrorRig, mirrorOf, processorTimeMs } from './mirror-rig.ts'
import type { RigOptions } from './mirror-rig.ts'
import type { Measure, Variant } from './bench-mirror.ts'

export interface GuestLoad {
  readonly depths: readonly number[]
  readonly rounds: number
  /** Of each run; whole seconds. */
  readonly seconds: number
}

const DISKS: readonly (readonly [device: string, variant: Variant])[] = [
  ['vda', 'localLeg'],
  ['vdb', 'remoteLeg'],
  ['vdc', 'mirrored'],
]
const BLOCK_BYTES = 4096
const VOLUME_BYTES = 64 * 1024 * 1024
const BOOT_LIMIT_MS = 60_000
const POLL_MS = 10

/** The runs of each variant at each depth, unmerged. Throws when the guest does not come to the end in time. */
export async function measureInGuest(
  repository: string,
  options: Omit<RigOptions, 'volumes' | 'bytes' | 'transport'>,
  load: GuestLoad,
): Promise<Map<number, Record<Variant, Measure[]>>> {
  const image = await buildGuestImage(repository)
  if (!image.ok) throw new Error(`no guest to measure in: ${image.error.message}`, { cause: image.error })
  const rig = await MirrorRig.create({ ...options, transport: 'cable', volumes: DISKS.length, bytes: VOLUME_BYTES })
  try {
    const console = join(rig.folder, 'console.log')
    const devices = DISKS.flatMap(([device, variant], volume) => {
      const { local, remote } = rig.legs(volume)
      const graph = { localLeg: local, remoteLeg: remote, mirrored: mirrorOf(local, remote) }[variant]
      const node = JSON.stringify({ driver: 'raw', 'node-name': device, file: graph })
      // Fixed slots, so that the guest names the disks in this order.
      return ['-blockdev', node, '-device', `virtio-blk-pci,drive=${device},addr=${volume + 3},werror=stop,rerror=stop`]
    })
    const guest = rig.start([
      ...['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-display', 'none', '-machine', 'q35', '-m', '192'],
      ...['-accel', 'tcg,thread=multi', '-serial', `file:${console}`, '-kernel', image.value.kernel],
      ...['-initrd', image.value.initrd, '-append', `${GUEST_APPEND} stead.run=cmd:${scriptOf(load)}`, ...devices],
    ])
    const limitMs = BOOT_LIMIT_MS + load.depths.length * load.rounds * DISKS.length * (load.seconds + 5) * 1000
    return await follow(console, [guest.pid as number, ...rig.storage], () => guest.exitCode !== null, limitMs)
  } finally {
    await rig.close()
  }
}

function scriptOf(load: GuestLoad): string {
  const rounds = Array.from({ length: load.rounds }, (_, round) => round).join(' ')
  const run = `echo "BENCH $disk $depth"; recorder randwrite /dev/$disk $depth ${load.seconds} ${BLOCK_BYTES}`
  const disks = DISKS.map(([device]) => device).join(' ')
  const script = `for depth in ${load.depths.join(' ')}; do for round in ${rounds}; do for disk in ${disks}; do ${run}; done; done; done\necho "BENCH end"\n`
  return Buffer.from(script).toString('base64')
}

async function follow(
  console: string,
  pids: readonly number[],
  ended: () => boolean,
  limitMs: number,
): Promise<Map<number, Record<Variant, Measure[]>>> {
  const results = new Map<number, Record<Variant, Measure[]>>()
  let current: { variant: Variant; depth: number; before: number[] } | undefined
  let seen = 0
  for (const deadline = Date.now() + limitMs; Date.now() < deadline && !ended(); await sleep(POLL_MS)) {
    // The part after the last newline is still being written.
    const lines = textOf(console).split('\n').slice(0, -1)
    for (const line of lines.slice(seen)) {
      const begin = /^BENCH (vd\w) (\d+)/.exec(line)
      const variant = DISKS.find(([device]) => device === begin?.[1])?.[1]
      const end = /^RANDWRITE (\d+) ops (\d+) ms/.exec(line)
      if (variant !== undefined) current = { variant, depth: Number(begin?.[2]), before: pids.map(processorTimeMs) }
      else if (end !== null && current !== undefined) {
        const { depth, before } = current
        const used = pids.map((pid, index) => processorTimeMs(pid) - (before[index] ?? 0))
        const row = results.get(depth) ?? { localLeg: [], remoteLeg: [], mirrored: [] }
        row[current.variant].push(measureOf(Number(end[1]), Number(end[2]), used))
        results.set(depth, row)
      } else if (line.startsWith('BENCH end')) return results
    }
    seen = lines.length
  }
  throw new Error(`the guest did not come to the end of its writing; its console: ${textOf(console).slice(-500)}`)
}

function measureOf(writes: number, tookMs: number, usedMs: readonly number[]): Measure {
  const [writerMs = 0, ...storageMs] = usedMs
  const writerCpuMicros = (writerMs * 1000) / writes
  const storageCpuMicros = (storageMs.reduce((sum, one) => sum + one, 0) * 1000) / writes
  return {
    writesPerSecond: (writes * 1000) / tookMs,
    writerCpuMicros,
    storageCpuMicros,
    cpuMicros: writerCpuMicros + storageCpuMicros,
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw cause
  }
}
