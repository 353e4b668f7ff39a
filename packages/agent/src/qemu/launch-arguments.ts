/** The command line of a guest's QEMU: a pure function of what was ordered and where its files are. */
import { LEVEL_FLAGS } from '@stead/core/model/processor.ts'
import type { GuestLaunch, LaunchNic } from '@stead/core/ports/guest-host.ts'
import { cdromArguments } from './cdrom-drives.ts'
import { BLOCK_OPTIONS, deviceId, diskBlockdevs, topNode, type DiskRecord } from './block-graph.ts'
import { cpuArguments, memoryDeviceArguments, memorySize } from './growth-arguments.ts'
import type { LaunchRecord } from './launch-record.ts'
import { machineProperties, memoryArguments, platformArguments } from './platform-arguments.ts'
import { diskPort, nicPort, platformPlace, rootPorts } from './pci-places.ts'

export interface GuestPaths {
  readonly qmpSocket: string
  readonly serialSocket: string
  readonly vncSocket: string
  readonly consoleLog: string
  readonly agentSocket: string
  readonly tpmSocket: string
}

/** QEMU's seccomp filter; works only when the process starts unprivileged already (`-run-with user=` is denied by it). */
export const SANDBOX = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'

const MACHINE_PROPERTIES = ['usb=off', 'vmport=off', 'hpet=off', 'dump-guest-core=off']

/** TCG's translation cache. The default is up to 1 GiB a guest; 64 MiB costs a small guest nothing that was measured. */
const TCG_CACHE_MIB = 64

export const AGENT_CHARDEV = 'agent'

/** The same record makes the same machine, device by device and place by place, on whichever host. */
export function launchArguments(record: LaunchRecord, paths: GuestPaths): string[] {
  const { launch, disks } = record
  return [
    ...machineArguments(record),
    ...memoryArguments(launch),
    ...bootArguments(launch),
    ...[
      '-chardev',
      `socket,id=qmp,path=${escaped(paths.qmpSocket)},server=on,wait=off`,
      '-mon',
      'chardev=qmp,mode=control',
    ],
    ...displayArguments(launch, paths),
    ...serialArguments(paths),
    ...rootPorts().flatMap((port) => ['-device', port]),
    ...platformArguments(launch, paths),
    ...agentArguments(paths),
    ...['-object', 'rng-builtin,id=rng0', '-device', `virtio-rng-pci,id=rng,rng=rng0,${platformPlace('rng')}`],
    ...memoryDeviceArguments(launch),
    ...diskArguments(launch, disks),
    ...launch.nics.flatMap((nic, position) => nicArguments(nic, nic.slot ?? position)),
    ...cdromArguments(launch.cdroms ?? []),
  ]
}

function machineArguments({ launch, disks, machine = 'q35' }: LaunchRecord): string[] {
  const kvm = launch.accelerator === 'kvm'
  return [
    ...['-name', `guest=${escaped(launch.name)},debug-threads=on`, '-uuid', launch.guest],
    ...['-machine', [machine, ...MACHINE_PROPERTIES, ...machineProperties(launch, disks)].join(',')],
    ...['-accel', kvm ? 'kvm' : `tcg,thread=multi,tb-size=${TCG_CACHE_MIB}`, '-cpu', processorOf(launch)],
    ...cpuArguments(launch, processorOf(launch)),
    ...['-m', memorySize(launch)],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-sandbox', SANDBOX, '-msg', 'timestamp=on'],
    // A guest that shuts down is kept, paused, until its disks are flushed and the agent has seen that they are.
    ...['-action', 'shutdown=pause'],
  ]
}

/** By level: QEMU's oldest 64-bit processor and the flags of the level, all of which the host must have. */
export function processorOf({ accelerator, processorLevel }: GuestLaunch): string {
  if (processorLevel === undefined) return accelerator === 'kvm' ? 'host' : 'max'
  const flags = ([2, 3, 4] as const).flatMap((level) => (level <= processorLevel ? LEVEL_FLAGS[level] : []))
  // No nested virtualization: it cannot move live.
  return ['qemu64', '-svm', ...flags.map((flag) => `+${QEMU_FLAGS[flag] ?? flag}`), 'enforce'].join(',')
}

/** Where QEMU calls a flag otherwise than /proc/cpuinfo does. */
const QEMU_FLAGS: Readonly<Record<string, string>> = { lahf_lm: 'lahf-lm', sse4_1: 'sse4.1', sse4_2: 'sse4.2' }

/**
 * A screen, a keyboard (PS/2, which the machine has anyhow and every kernel knows) and a pointer that is where the
 * viewer's is, where the guest has the driver; else the PS/2 mouse. VNC only on a socket in the guest's own folder.
 */
function displayArguments({ display = 'none' }: GuestLaunch, paths: GuestPaths): string[] {
  if (display === 'none') return []
  return [
    ...['-device', `VGA,id=video,${platformPlace('display')},vgamem_mb=16`],
    ...['-device', `virtio-tablet-pci,id=tablet,${platformPlace('tablet')}`],
    // Several people may look at the same screen: a viewer that wants it alone does not throw out the others.
    ...['-vnc', `unix:${escaped(paths.vncSocket)},share=force-shared`],
  ]
}

/** What the guest writes goes to the log, whether somebody is connected or not. */
function serialArguments({ serialSocket, consoleLog }: GuestPaths): string[] {
  const log = `logfile=${escaped(consoleLog)},logappend=on`
  const chardev = `socket,id=console,path=${escaped(serialSocket)},server=on,wait=off,${log}`
  return ['-chardev', chardev, '-serial', 'chardev:console']
}

function bootArguments({ boot }: GuestLaunch): string[] {
  if (boot.kind !== 'kernel') return []
  return ['-kernel', boot.kernelPath, ...(boot.initrdPath ? ['-initrd', boot.initrdPath] : []), '-append', boot.append]
}

/** The channel of the agent inside the guest, under the name by which qemu-ga looks for it. */
function agentArguments({ agentSocket }: GuestPaths): string[] {
  return [
    ...['-chardev', `socket,id=${AGENT_CHARDEV},path=${escaped(agentSocket)},server=on,wait=off`],
    ...['-device', `virtio-serial-pci,id=serial,${platformPlace('serial')}`],
    ...['-device', `virtserialport,id=agent-port,bus=serial.0,chardev=${AGENT_CHARDEV},name=org.qemu.guest_agent.0`],
  ]
}

function diskArguments(launch: GuestLaunch, disks: readonly DiskRecord[]): string[] {
  const iothread = BLOCK_OPTIONS.iothread && disks.length > 0
  return [
    ...(iothread ? ['-object', `iothread,id=block-io,poll-max-ns=${BLOCK_OPTIONS.iothreadPollMaxNs}`] : []),
    ...disks.flatMap((disk) => [
      ...diskBlockdevs(disk).flatMap((blockdev) => ['-blockdev', JSON.stringify(blockdev)]),
      ...(disk.role === undefined
        ? [
            '-device',
            optionText({
              ...diskDevice(disk),
              ...(iothread ? { iothread: 'block-io' } : {}),
              ...(launch.boot.kind === 'disk' && disk.index === 0 ? { bootindex: 1 } : {}),
            }),
          ]
        : []),
    ]),
  ]
}

/** A disk's device, for `-device` and for `device_add` alike. */
export function diskDevice(disk: DiskRecord): DeviceOptions {
  return {
    driver: 'virtio-blk-pci',
    id: deviceId(disk.index),
    bus: diskPort(disk.index),
    drive: topNode(disk.index),
    werror: 'stop',
    rerror: 'stop',
    // The guest finds its disks by volume: /dev/disk/by-id/virtio-<first 20 characters>.
    serial: disk.volume.slice(0, 20),
  }
}

function nicArguments(nic: LaunchNic, slot: number): string[] {
  const { type, ...netdev } = nicNetdev(nic, slot)
  return ['-netdev', optionText({ driver: type, ...netdev }), '-device', optionText(nicDevice(nic, slot))]
}

export const netdevId = (slot: number): string => `net${slot}`
export const nicDeviceId = (slot: number): string => `nic${slot}`

/** What carries a card's packets, for `-netdev` and for `netdev_add` alike. */
export function nicNetdev(nic: LaunchNic, slot: number) {
  return { type: 'tap', id: netdevId(slot), ifname: nic.tap, script: 'no', downscript: 'no' } as const
}

/** A card, for `-device` and for `device_add` alike. */
export function nicDevice(nic: LaunchNic, slot: number): DeviceOptions {
  return {
    driver: 'virtio-net-pci',
    id: nicDeviceId(slot),
    bus: nicPort(slot),
    netdev: netdevId(slot),
    mac: nic.mac,
    // No option ROM: a guest never boots from the network.
    romfile: '',
  }
}

type DeviceOptions = Readonly<Record<string, string | number>> & { readonly driver: string }

function optionText({ driver, ...options }: DeviceOptions): string {
  return [driver, ...Object.entries(options).map(([name, value]) => `${name}=${value}`)].join(',')
}

/** QEMU's option parser reads a doubled comma as a comma. */
export function escaped(value: string): string {
  return value.replaceAll(',', ',,')
}
