/**
 * The shape of a guest's disk inside QEMU, as pure data: node names, the JSON that creates the nodes, and the
 * reading of the graph that QEMU reports.
 *
 *   virtio-blk -> d0-top (raw) -> d0-quorum -> { d0-leg0 (nbd), d0-leg1 (nbd) }      spare: d0-filler0
 *
 * A write succeeds when every child has it (the threshold is the width). A missing leg is held open by a filler:
 * blkdebug over null-co, which accepts writes and refuses reads, so that it can never answer with zeros. Reads are
 * `fifo`: the first child answers and the next one is asked only after an error, so real legs stand first.
 */
import type { GuestDisk, Leg } from '@stead/core/ports/guest-host.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { VolumeRole } from '@stead/core/model/platform.ts'
import { assert } from '@stead/core/assert.ts'

/** Everything that is tuned about the block layer, in one place; figures in docs/benchmarks.md. */
export const BLOCK_OPTIONS = {
  /** Whole seconds (QEMU's unit). Without it an open of a hung server never returns. */
  openTimeoutSeconds: 2,
  /** A leg must never reconnect silently: a restarted server may have lost acknowledged, unflushed writes. */
  reconnectDelaySeconds: 0,
  /** An iothread for the disks was measured slower with emulated guests (one more hand-over a write). */
  iothread: false,
  /** Adaptive polling trades CPU for latency; 0 switches it off. */
  iothreadPollMaxNs: 0,
} as const

/** QEMU's limit for node names. */
export const NODE_NAME_LENGTH_MAX = 31

/** One leg that this run has opened; `node` tells it apart from all earlier legs of the same host. */
export interface OpenLeg {
  readonly node: string
  readonly leg: Leg
}

/** What must be remembered of a disk to understand its graph later. Part of `launch.json`. */
export interface DiskRecord {
  readonly volume: VolumeId
  readonly index: number
  /** No disk of the guest: the firmware's variables, or the state of the TPM. */
  readonly role?: VolumeRole
  readonly sizeBytes: number
  readonly width: number
  /** Attached and prepared legs; which are attached is said by the graph only. */
  readonly legs: readonly OpenLeg[]
  /** The number of the next leg's node. Grows only, so that a node name is never used twice. */
  readonly nextLeg: number
  /** It may stand on its gate, on its way to another size: see `disk-growth.ts`. */
  readonly held?: true
}

export const topNode = (index: number): string => named(`d${index}-top`)
export const quorumNode = (index: number): string => named(`d${index}-quorum`)
export const legNode = (index: number, leg: number): string => named(`d${index}-leg${leg}`)
export const fillerNode = (index: number, filler: number): string => named(`d${index}-filler${filler}`)
export const gateNode = (index: number): string => named(`d${index}-gate`)
export const deviceId = (index: number): string => `disk${index}`

function named(name: string): string {
  assert(name.length <= NODE_NAME_LENGTH_MAX, `node name ${name} is too long for QEMU`)
  return name
}

export const isFiller = (node: string): boolean => /^d\d+-filler\d+$/.test(node)

/** What is no disk takes none of their numbers. */
const ROLE_INDEX: Readonly<Record<VolumeRole, number>> = { firmware: 100, tpm: 101 }

/** The record of a disk as it is when QEMU starts: its legs are numbered in the order of reading. */
export function newDiskRecord(disk: GuestDisk, number: number): DiskRecord {
  const index = disk.role === undefined ? number : ROLE_INDEX[disk.role]
  assert(
    disk.legs.length >= 1 && disk.legs.length <= disk.width,
    `volume ${disk.volume}: ${disk.legs.length} legs for width ${disk.width}`,
  )
  return {
    volume: disk.volume,
    index,
    ...(disk.role === undefined ? {} : { role: disk.role }),
    sizeBytes: disk.sizeBytes,
    width: disk.width,
    legs: disk.legs.map((leg, order) => ({ node: legNode(index, order), leg })),
    nextLeg: disk.legs.length,
  }
}

/** The object in QEMU that holds the key of a leg's node, where it has one: see `leg-keys.ts`. */
export const keyObject = (node: string): string => `key-${node}`

/** `blockdev-add` arguments of a leg. */
export function legBlockdev(node: string, leg: Leg): Record<string, unknown> {
  const { endpoint } = leg
  const server =
    endpoint.kind === 'unix'
      ? { type: 'unix', path: endpoint.path }
      : { type: 'inet', host: endpoint.address, port: String(endpoint.port) }
  return {
    driver: 'nbd',
    'node-name': node,
    server,
    export: leg.exportName,
    ...(endpoint.kind === 'tcp' && endpoint.key ? { 'tls-creds': keyObject(node) } : {}),
    'open-timeout': BLOCK_OPTIONS.openTimeoutSeconds,
    'reconnect-delay': BLOCK_OPTIONS.reconnectDelaySeconds,
  }
}

/** `blockdev-add` arguments of a filler: writes succeed and go nowhere, reads fail with EIO. */
export function fillerBlockdev(node: string, sizeBytes: number): Record<string, unknown> {
  return {
    driver: 'blkdebug',
    'node-name': node,
    image: { driver: 'null-co', size: sizeBytes },
    'inject-error': [{ event: 'none', iotype: 'read', errno: 5, immediately: true }],
  }
}

/** `blockdev-add` arguments of a gate: all that the guest asks of it fails. `path`: a file of the disk's size. */
export function gateBlockdev(index: number, path: string): Record<string, unknown> {
  return {
    driver: 'blkdebug',
    'node-name': gateNode(index),
    image: { driver: 'file', filename: path },
    'inject-error': ['read', 'write', 'write-zeroes', 'discard'].map((iotype) => ({
      ...{ event: 'none', iotype, errno: 5, immediately: true },
    })),
  }
}

export function topBlockdev(disk: DiskRecord): Record<string, unknown> {
  const first = disk.legs[0]
  assert(first, 'a disk has a leg')
  return {
    driver: 'raw',
    'node-name': topNode(disk.index),
    file: disk.width === 1 ? first.node : quorumNode(disk.index),
  }
}

/**
 * All nodes of a disk in the order in which they must be created. A mirrored disk always has `width - 1` fillers:
 * those for the legs it misses are attached, the others are spare, so that nothing has to be opened while the guest
 * is stopped for the loss of a leg.
 */
export function diskBlockdevs(disk: DiskRecord): readonly Record<string, unknown>[] {
  const legs = disk.legs.map(({ node, leg }) => legBlockdev(node, leg))
  if (disk.width === 1) return [...legs, topBlockdev(disk)]
  const fillers = Array.from({ length: disk.width - 1 }, (_, number) => fillerNode(disk.index, number))
  const attached = fillers.slice(0, disk.width - disk.legs.length)
  const quorum = {
    driver: 'quorum',
    'node-name': quorumNode(disk.index),
    children: [...disk.legs.map(({ node }) => node), ...attached],
    'vote-threshold': disk.width,
    'read-pattern': 'fifo',
  }
  return [...legs, ...fillers.map((node) => fillerBlockdev(node, disk.sizeBytes)), quorum, topBlockdev(disk)]
}

/** The answer of `x-debug-query-block-graph`. */
export interface QemuBlockGraph {
  readonly nodes: readonly { readonly id: number; readonly type: string; readonly name: string }[]
  readonly edges: readonly { readonly parent: number; readonly child: number; readonly name: string }[]
}

export interface QuorumChild {
  /** `children.3`: what `x-blockdev-change` wants to hear. */
  readonly childName: string
  readonly node: string
}

/** The children of a disk's quorum (of width 1: the top's only child) in the order in which reads try them. */
export function childrenOf(graph: QemuBlockGraph, disk: DiskRecord): readonly QuorumChild[] {
  const parentName = disk.width === 1 ? topNode(disk.index) : quorumNode(disk.index)
  const names = new Map(graph.nodes.map((node) => [node.id, node.name]))
  return graph.edges
    .filter((edge) => names.get(edge.parent) === parentName)
    .map((edge) => ({ childName: edge.name, node: names.get(edge.child) ?? '' }))
    .toSorted((a, b) => childNumber(a) - childNumber(b))
}

/** QEMU appends children and numbers them upwards, so the number is the order of reading. */
function childNumber(child: QuorumChild): number {
  return Number(/\d+$/.exec(child.childName)?.[0] ?? 0)
}

/** All nodes that the disk has now, parents before their children: the order in which they can be removed. */
export function nodesOf(graph: QemuBlockGraph, disk: DiskRecord): readonly string[] {
  const names = graph.nodes.map((node) => node.name).filter((name) => name.startsWith(`d${disk.index}-`))
  const rank = (name: string) => (name === topNode(disk.index) ? 0 : name === quorumNode(disk.index) ? 1 : 2)
  return [...new Set(names)].toSorted((a, b) => rank(a) - rank(b))
}

/** Fillers of the disk that exist and are not in use. */
export function spareFillers(graph: QemuBlockGraph, disk: DiskRecord): readonly string[] {
  const used = new Set(childrenOf(graph, disk).map((child) => child.node))
  return graph.nodes
    .map((node) => node.name)
    .filter((name) => isFiller(name) && name.startsWith(`d${disk.index}-`) && !used.has(name))
}

/** A filler name that the disk's graph does not hold. */
export function newFillerName(graph: QemuBlockGraph, disk: DiskRecord): string {
  const numbers = graph.nodes.map((node) => new RegExp(`^d${disk.index}-filler(\\d+)$`).exec(node.name)?.[1] ?? '-1')
  return fillerNode(disk.index, Math.max(-1, ...numbers.map(Number)) + 1)
}

/** The disk with the legs that the graph really holds, in the order of reading. */
export function attachedDisk(graph: QemuBlockGraph, disk: DiskRecord): GuestDisk {
  const { volume, sizeBytes, width, role } = disk
  const known = new Map(disk.held ? [] : disk.legs.map(({ node, leg }) => [node, leg]))
  const legs = childrenOf(graph, disk).flatMap((child) => known.get(child.node) ?? [])
  return { volume, sizeBytes, width, legs, ...(role === undefined ? {} : { role }) }
}
