/**
 * What lets a guest's memory and processors change while it runs, as QEMU hears it at the start. A guest that was
 * started without (`cpusMax`, `memoryMaxBytes`) gets what it always got. All that decides about places is constant for
 * the life of the machine, so that a migration's destination makes the same one; see docs/internals/hardware.md.
 */
import { assert } from '@stead/core/assert.ts'
import type { GuestLaunch } from '@stead/core/ports/guest-host.ts'
import { platformPlace } from './pci-places.ts'

const KIBIBYTE = 1024
const MEBIBYTE = 2 ** 20
/** Linux adds memory in blocks of so much and uses nothing of one that is not whole (x86, less than 64 GiB). */
const MEMORY_BLOCK_BYTES = 128 * MEBIBYTE
/** A transparent huge page: what is smaller costs the host page tables and the guest cannot use it by itself. */
export const GROWTH_STEP_BYTES = 2 * MEBIBYTE

export const MEMORY_DEVICE = 'memory'
export const BALLOON_DEVICE = 'balloon'
const CPU_ID = /^cpu(\d+)$/

/**
 * With room for more, only the first processor is QEMU's own: it can never be unplugged. Each other one is a device with
 * an id, whether it was there from the start or came later.
 */
export function cpuArguments(launch: GuestLaunch, model: string): string[] {
  const { cpus, cpusMax } = launch
  if (cpusMax === undefined) return ['-smp', String(cpus)]
  assert(cpus <= cpusMax, `${cpus} processors do not fit into ${cpusMax} places`)
  const others = Array.from({ length: cpus - 1 }, (_, position) => cpuDevice(model, position + 1))
  return [
    ...['-smp', `cpus=1,maxcpus=${cpusMax},sockets=1,cores=${cpusMax},threads=1`],
    ...others.flatMap(({ driver, ...options }) => ['-device', optionText(driver, options)]),
  ]
}

/** For `-device` and for `device_add` alike. `model`: the value of `-cpu`. */
export function cpuDevice(model: string, number: number) {
  const [type = model] = model.split(',')
  return {
    driver: `${type}-x86_64-cpu`,
    id: `cpu${number}`,
    ...{ 'socket-id': 0, 'core-id': number, 'thread-id': 0 },
  } as const
}

/** How many processors there are, by the ids of all devices. */
export function cpusAmong(deviceIds: Iterable<string>): number {
  return 1 + [...deviceIds].filter((id) => CPU_ID.test(id)).length
}

/** The processors of a memory node, for `-numa`: they take turns, so that growth does not end up on one node. */
export function cpusOfNode(cpusMax: number, nodes: number, node: number): string {
  const own = Array.from({ length: cpusMax }, (_, number) => number).filter((number) => number % nodes === node)
  return own.map((number) => `,cpus=${number}`).join('')
}

/** The value of `-m`. */
export function memorySize(launch: GuestLaunch): string {
  const size = `size=${Math.ceil(launch.memoryBytes / KIBIBYTE)}k`
  const room = roomBytes(launch)
  return room === 0
    ? size
    : `${size},maxmem=${(Math.ceil(launch.memoryBytes / KIBIBYTE) * KIBIBYTE + room) / KIBIBYTE}k`
}

/**
 * The balloon, and the device through which memory comes and goes. `reserve=off`: what has not been given yet must not
 * count on the host either. When it runs out of memory a guest has the balloon's back rather than that a program dies.
 */
export function memoryDeviceArguments(launch: GuestLaunch): string[] {
  if (launch.memoryMaxBytes === undefined) return []
  const room = roomBytes(launch)
  const balloon = `virtio-balloon-pci,id=${BALLOON_DEVICE},${platformPlace('balloon')},deflate-on-oom=on`
  if (room === 0) return ['-device', balloon]
  return [
    ...(launch.platform?.memory ? [] : firstMemory(launch)),
    ...['-object', `memory-backend-ram,id=growth,size=${room},reserve=off`],
    ...[
      '-device',
      `virtio-mem-pci,id=${MEMORY_DEVICE},${platformPlace('memory')},memdev=growth,` +
        `block-size=${GROWTH_STEP_BYTES},requested-size=${launch.memoryAddedBytes ?? 0}`,
    ],
    ...['-device', balloon],
  ]
}

/**
 * What the guest boots with, made before what it may get, under the name that QEMU would give it: so it has the first place
 * among QEMU's memories. An emulating QEMU 10.0 loses changes of any other one in a live move. When it looks for changed
 * pages it has the next change of each noticed again (`tlb_reset_dirty_range_all`) at the place that the page has in
 * its own memory, not among all; a page that goes on being written is then not sent again, and the guest is damaged.
 */
function firstMemory({ memoryBytes }: GuestLaunch): string[] {
  const size = `${Math.ceil(memoryBytes / KIBIBYTE)}k`
  return ['-object', `memory-backend-ram,id=pc.ram,size=${size}`, '-machine', 'memory-backend=pc.ram']
}

/** How much can be added: whole blocks, so that Linux can use all of what the maximum says. */
export function roomBytes({ memoryBytes, memoryMaxBytes = memoryBytes }: GuestLaunch): number {
  return Math.ceil(Math.max(0, memoryMaxBytes - memoryBytes) / MEMORY_BLOCK_BYTES) * MEMORY_BLOCK_BYTES
}

/** What to add so that the guest has `wantedBytes`: whole steps, never more than is wanted. */
export function addedBytes(launch: GuestLaunch, wantedBytes: number): number {
  const more = Math.max(0, wantedBytes - launch.memoryBytes)
  return Math.min(roomBytes(launch), Math.floor(more / GROWTH_STEP_BYTES) * GROWTH_STEP_BYTES)
}

function optionText(driver: string, options: Readonly<Record<string, string | number>>): string {
  return [driver, ...Object.entries(options).map(([name, value]) => `${name}=${value}`)].join(',')
}
