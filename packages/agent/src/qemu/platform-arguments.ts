/** The part of QEMU's command line that makes the guest's platform; see docs/internals/platform.md. */
import type { GuestLaunch } from '@stead/core/ports/guest-host.ts'
import { topNode, type DiskRecord } from './block-graph.ts'
import { cpusOfNode } from './growth-arguments.ts'
import { platformPlace } from './pci-places.ts'

const FIRMWARE_CODE = 'firmware-code'
/** On the root bus; the slots below are those of `pci-places.ts`. */
const FIRST_DEVICE_SLOT = 0x10
const FIRST_DEVICE_CHASSIS = 101
const MEBIBYTE = 2 ** 20

/** What is said of the machine as a whole, after its type. */
export function machineProperties({ platform = {} }: GuestLaunch, disks: readonly DiskRecord[]): readonly string[] {
  const variables = disks.find((disk) => disk.role === 'firmware')
  if (!platform.firmware || !variables) return []
  return [
    `pflash0=${FIRMWARE_CODE}`,
    `pflash1=${topNode(variables.index)}`,
    // Only the firmware in system management mode may then write the variables that decide what is trusted.
    ...(platform.firmware.secureBoot ? ['smm=on'] : []),
  ]
}

export function platformArguments({ platform = {} }: GuestLaunch, paths: { readonly tpmSocket: string }): string[] {
  const { firmware, watchdog, tpm, devices = [] } = platform
  return [
    ...(firmware ? firmwareArguments(firmware) : []),
    ...(watchdog ? watchdogArguments(watchdog) : []),
    ...(tpm ? tpmArguments(paths.tpmSocket) : []),
    ...devices.flatMap(({ path }, index) => deviceArguments(path, index)),
  ]
}

/** At its fixed place in memory, where every firmware and system looks for it; no PCI device. */
function tpmArguments(socket: string): string[] {
  return [
    ...['-chardev', `socket,id=tpm,path=${socket.replaceAll(',', ',,')}`],
    ...['-tpmdev', 'emulator,id=tpm0,chardev=tpm', '-device', 'tpm-crb,tpmdev=tpm0'],
  ]
}

/** Each on a root port of its own, after those of what can be plugged. It must be there from the start: see `claim`. */
function deviceArguments(path: string, index: number): string[] {
  const port = `device-port${index}`
  const place = `bus=pcie.0,addr=0x${(FIRST_DEVICE_SLOT + index).toString(16)}`
  return [
    ...['-device', `pcie-root-port,id=${port},${place},chassis=${FIRST_DEVICE_CHASSIS + index}`],
    ...['-device', `vfio-pci,id=device${index},bus=${port},sysfsdev=/sys/${path}`],
  ]
}

/** Memory on huge pages or in several nodes, instead of `-m` alone; each node has its share of the processors. */
export function memoryArguments({ platform = {}, memoryBytes, cpus, cpusMax }: GuestLaunch): string[] {
  const { memory } = platform
  if (!memory) return []
  const { nodes, hostNodes, pageBytes } = memory
  const step = pageBytes ?? MEBIBYTE
  const pages = Math.ceil(memoryBytes / step)
  return Array.from({ length: nodes }, (_, node) => {
    const bytes = (share(pages, nodes, node + 1) - share(pages, nodes, node)) * step
    const hostNode = hostNodes[node % Math.max(1, hostNodes.length)]
    const backend = {
      'qom-type': 'memory-backend-memfd',
      id: `mem${node}`,
      size: bytes,
      share: true,
      ...(pageBytes === undefined ? {} : { hugetlb: true, hugetlbsize: pageBytes, prealloc: true }),
      ...(hostNode === undefined ? {} : { 'host-nodes': [hostNode], policy: 'bind' }),
    }
    const [first, last] = [share(cpus, nodes, node), share(cpus, nodes, node + 1) - 1]
    const starting = last < first ? '' : `,cpus=${first}-${last}`
    const processors = cpusMax === undefined ? starting : cpusOfNode(cpusMax, nodes, node)
    return ['-object', JSON.stringify(backend), '-numa', `node,nodeid=${node},memdev=mem${node}${processors}`]
  }).flat()
}

/** What comes before the node when so many are divided evenly. */
function share(total: number, nodes: number, node: number): number {
  return Math.floor((total * node) / nodes)
}

function firmwareArguments({ codePath, secureBoot }: { codePath: string; secureBoot: boolean }): string[] {
  const file = { driver: 'file', filename: codePath, 'read-only': true }
  const code = { driver: 'raw', 'node-name': FIRMWARE_CODE, 'read-only': true, file }
  return [
    ...['-blockdev', JSON.stringify(code)],
    ...(secureBoot ? ['-global', 'driver=cfi.pflash01,property=secure,value=on'] : []),
    // As OVMF's own documents want it: with suspend to memory, Secure Boot's protection of the variables has a hole.
    ...['-global', 'ICH9-LPC.disable_s3=1'],
  ]
}

/**
 * QEMU's own `poweroff` ends the process without a flush. So the guest is stopped, and the agent switches it off in
 * order (`QemuGuest`).
 */
function watchdogArguments(action: NonNullable<NonNullable<GuestLaunch['platform']>['watchdog']>): string[] {
  return [
    ...['-device', `i6300esb,id=watchdog,${platformPlace('watchdog')}`],
    ...['-action', `watchdog=${action === 'poweroff' ? 'pause' : action}`],
  ]
}
