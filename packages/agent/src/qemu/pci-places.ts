/**
 * Where each device of a guest sits on its PCI bus. A guest names its network cards and remembers its disks by these
 * places, so they are never left to QEMU: a device keeps its place whatever was added or removed before it, in a cold
 * start and in a machine that a migration makes.
 *
 *   pcie.0   01        a display                 02-03  16 root ports, for what comes and goes while the guest runs
 *            05-0f     what the guest always has (`PLATFORM_SLOTS`)        1f  the chipset's own
 *
 * A device is known by its kind and its number there (its slot): disk 3 is on port 3, NIC 1 on port 13. See
 * docs/internals/hardware.md.
 */
import { assert } from '@stead/core/assert.ts'
import { DISK_SLOTS, NIC_SLOTS } from '@stead/core/model/hardware.ts'

/** What sits on the root bus itself and cannot be unplugged. A number is never given to another kind of device. */
export const PLATFORM_SLOTS = {
  display: 0x01,
  rng: 0x05,
  balloon: 0x06,
  memory: 0x07,
  serial: 0x08,
  watchdog: 0x09,
  usb: 0x0a,
  scsi: 0x0b,
  tablet: 0x0c,
} as const

export type PlatformDevice = keyof typeof PLATFORM_SLOTS

/** Those for disks are the first ones, those for NICs follow. What they cost at boot: docs/internals/hardware.md. */
const ROOT_PORTS = DISK_SLOTS + NIC_SLOTS

const FIRST_PORT_SLOT = 0x02
const FUNCTIONS = 8

/** `bus=` and `addr=` of a device on the root bus. */
export function platformPlace(device: PlatformDevice): string {
  return `bus=pcie.0,addr=0x${PLATFORM_SLOTS[device].toString(16)}`
}

/** The root port of a disk: what hot-plug calls its `bus`. */
export function diskPort(slot: number): string {
  assert(slot >= 0 && slot < DISK_SLOTS, `there is no place for disk ${slot}`)
  return portId(slot)
}

export function nicPort(slot: number): string {
  assert(slot >= 0 && slot < NIC_SLOTS, `there is no place for NIC ${slot}`)
  return portId(DISK_SLOTS + slot)
}

/**
 * `-device` values of all root ports, eight functions to a slot. Without I/O windows: there are not enough for all
 * ports, and a virtio device on a port does not use one.
 */
export function rootPorts(): readonly string[] {
  return Array.from({ length: ROOT_PORTS }, (_, number) => {
    const slot = FIRST_PORT_SLOT + Math.floor(number / FUNCTIONS)
    const address = `0x${slot.toString(16)}.${number % FUNCTIONS}`
    return `pcie-root-port,id=${portId(number)},bus=pcie.0,addr=${address},multifunction=on,chassis=${number + 1},io-reserve=0`
  })
}

function portId(number: number): string {
  return `port${number}`
}
