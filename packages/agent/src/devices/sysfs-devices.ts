/**
 * The devices that a host can give to guests, as sysfs tells them. Pure but for reading below `root`: tested on trees of
 * files (fixtures/README.md).
 */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { DeviceKind, HostDeviceClass } from '@stead/core/model/host-shares.ts'

/** One thing that can be given once, or `free` times when it is made on demand. */
export interface DeviceInstance {
  readonly class: string
  readonly kind: DeviceKind
  /** Its place on the PCI bus (of what it is made from), or the name of a MIG slice or render node. */
  readonly address: string
  /** What is written to make one: the mdev type, or the number of the vGPU type. */
  readonly type?: string
  readonly free: number
  readonly used: number
}

const NVIDIA = '0x10de'
/** PCI's class code of display controllers begins with it. */
const DISPLAY = '0x03'

/** `migList`: what `nvidia-smi -L` says; empty on hosts without it. */
export function readDevices(root: string, migList: string): readonly DeviceInstance[] {
  const pci = join(root, 'sys/bus/pci/devices')
  const vgpuNames = new Map<string, string>()
  const addresses = list(pci)
  for (const address of addresses)
    for (const { number, name } of creatableTypes(join(pci, address))) vgpuNames.set(number, name)
  return [
    ...addresses.flatMap((address) => pciInstances(join(pci, address), address, vgpuNames)),
    ...migSlices(migList),
    ...renderNodes(root),
  ]
}

export function classesOf(instances: readonly DeviceInstance[]): readonly HostDeviceClass[] {
  const found = new Map<string, HostDeviceClass>()
  for (const { class: name, kind, free, used } of instances)
    found.set(name, { name, kind, count: (found.get(name)?.count ?? 0) + free + used })
  return [...found.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

function pciInstances(folder: string, address: string, vgpuNames: ReadonlyMap<string, string>): DeviceInstance[] {
  const mediated = mdevInstances(folder, address)
  if (mediated.length > 0) return mediated
  const shared = vgpuInstances(folder, address, vgpuNames)
  if (shared !== undefined) return shared
  // Only what an administrator has taken from its own driver is for guests to have.
  if (linkName(join(folder, 'driver')) !== 'vfio-pci') return []
  const isFunction = linkName(join(folder, 'physfn')) !== undefined
  const ids = [text(folder, 'vendor'), text(folder, 'device')].map((id) => id.replace(/^0x/, '')).join('-')
  const family = text(folder, 'class').startsWith(DISPLAY) ? 'gpu' : isFunction ? 'vf' : 'pci'
  return [{ class: `${family}/${ids}`, kind: isFunction ? 'vf' : 'pci', address, free: 1, used: 0 }]
}

/** Mediated devices: the kernel's documentation, driver-api/vfio-mediated-device. */
function mdevInstances(folder: string, address: string): DeviceInstance[] {
  const types = join(folder, 'mdev_supported_types')
  return list(types).map((type) => ({
    class: gpuClass(text(folder, 'vendor'), text(join(types, type), 'name') || type),
    kind: 'mdev',
    address,
    type,
    free: Number(text(join(types, type), 'available_instances')) || 0,
    used: list(join(types, type, 'devices')).length,
  }))
}

/**
 * NVIDIA's vGPU from release 17 on: no mediated devices, but each virtual function is given a type by a number. One
 * that has a type already is of that class only; a bare one can become any that its GPU still has room for.
 */
function vgpuInstances(
  folder: string,
  address: string,
  names: ReadonlyMap<string, string>,
): DeviceInstance[] | undefined {
  const current = text(join(folder, 'nvidia'), 'current_vgpu_type')
  if (current === '') return undefined
  const instance = (number: string, name: string, free: number): DeviceInstance => ({
    class: gpuClass(NVIDIA, name),
    kind: 'vgpu',
    address,
    type: number,
    free,
    used: 1 - free,
  })
  if (current !== '0') return [instance(current, names.get(current) ?? `vgpu-type-${current}`, 0)]
  return creatableTypes(folder).map(({ number, name }) => instance(number, name, 1))
}

function creatableTypes(folder: string): { readonly number: string; readonly name: string }[] {
  const lines = text(join(folder, 'nvidia'), 'creatable_vgpu_types').split('\n')
  return lines.flatMap((line) => {
    const [, number, name] = /^\s*(\d+)\s*:\s*(\S.*?)\s*$/.exec(line) ?? []
    return number !== undefined && name !== undefined ? [{ number, name }] : []
  })
}

/** `  MIG 3g.20gb     Device  0: (UUID: MIG-...)`; the width of the columns differs between drivers. */
function migSlices(output: string): DeviceInstance[] {
  return [...output.matchAll(/^\s+MIG\s+(\S+)\s+Device\s+\d+:\s*\(UUID:\s*(MIG-[^)\s]+)\)/gm)].map(
    ([, profile = '', uuid = '']) => ({ class: `mig/${slug(profile)}`, kind: 'mig', address: uuid, free: 1, used: 0 }),
  )
}

/** Of any driver; containers share them, so their number is no limit, but one is counted each. */
function renderNodes(root: string): DeviceInstance[] {
  const drm = join(root, 'sys/class/drm')
  return list(drm)
    .filter((name) => /^renderD\d+$/.test(name))
    .map((name) => ({
      class: `render/${slug(linkName(join(drm, name, 'device/driver')) ?? 'unknown')}`,
      kind: 'render',
      address: name,
      free: 1,
      used: 0,
    }))
}

/** `NVIDIA H200X-1-18C` -> `gpu/nvidia-h200x-1-18c`; older names begin with GRID. */
function gpuClass(vendor: string, name: string): string {
  const bare = slug(name).replace(/^(nvidia|grid)-/, '')
  return vendor === NVIDIA ? `gpu/nvidia-${bare}` : `gpu/${bare}`
}

function slug(name: string): string {
  return name
    .toLowerCase()
    .replaceAll(/[^a-z0-9.]+/g, '-')
    .replaceAll(/^[-.]+|-+$/g, '')
}

function text(folder: string, name: string): string {
  try {
    return readFileSync(join(folder, name), 'utf8').trim()
  } catch {
    // Most devices lack most of these files, and a device may go away at any time.
    return ''
  }
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder).toSorted()
  } catch {
    return []
  }
}

function linkName(path: string): string | undefined {
  try {
    return basename(readlinkSync(path))
  } catch {
    return undefined
  }
}
