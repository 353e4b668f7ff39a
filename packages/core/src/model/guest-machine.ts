/**
 * Whether a machine that is about to be made is the one that a guest knows, device by device. A guest that boots looks
 * at what it has; one whose memory is brought back knows it already, and would lose its mind over anything else.
 */
import type { GuestLaunch } from '../ports/guest-host.ts'
import type { Guest } from './guest.ts'
import { diskSlot, nicSlot } from './hardware.ts'
import type { Volume } from './volume.ts'

/** The parts in which the two differ, in words; none when the guest can go on in the other one. */
export function machineDifferences(known: GuestLaunch, other: GuestLaunch): readonly string[] {
  const differences: string[] = []
  for (const [name, partOf] of Object.entries(PARTS))
    if (JSON.stringify(partOf(known)) !== JSON.stringify(partOf(other))) differences.push(name)
  return differences
}

/** The same as far as the records alone can say it, before anything is opened. */
export function recordDifferences(known: GuestLaunch, guest: Guest, volumes: readonly Volume[]): readonly string[] {
  const { processorLevel: _level, ...rest } = known
  const recorded: GuestLaunch = {
    ...rest,
    memoryBytes: guest.memoryBytes,
    cpus: guest.cpus,
    display: guest.display ?? 'none',
    nics: guest.nics.map((nic, position) => ({ ...nic, slot: nicSlot(nic, position), tap: '' })),
    disks: volumes.map(({ id, sizeBytes, role, ...volume }, position) => ({
      ...{ volume: id, sizeBytes, legs: [], width: 1 },
      ...(role === undefined ? { slot: diskSlot({ id, sizeBytes, ...volume }, position) } : { role }),
    })),
  }
  return machineDifferences(rest, recorded)
}

const PARTS: Readonly<Record<string, (launch: GuestLaunch) => unknown>> = {
  'the kind of machine': ({ machine, accelerator }) => [machine, accelerator],
  'the kind of processor': ({ processorLevel }) => processorLevel ?? null,
  memory: ({ memoryBytes, platform }) => [memoryBytes, platform?.memory?.nodes ?? 1, platform?.memory?.pageBytes ?? 0],
  processors: ({ cpus }) => cpus,
  disks: ({ disks }) =>
    disks
      .map(({ volume, sizeBytes, slot, role }, position) => [volume, sizeBytes, role ?? slot ?? position])
      .toSorted(),
  'network cards': ({ nics }) => nics.map(({ mac, slot }, position) => [mac, slot ?? position]).toSorted(),
  'the screen': ({ display }) => display ?? 'none',
  // By the names of their files, which are digests: the folders may be others on another host.
  'CD drives and what lies in them': ({ cdroms }) =>
    (cdroms ?? []).map(({ id, bus, path }) => [id, bus, path === undefined ? null : fileName(path)]),
  'what it boots from': ({ boot }) =>
    boot.kind === 'disk' ? [] : [fileName(boot.kernelPath), fileName(boot.initrdPath ?? ''), boot.append],
  'firmware and platform': ({ platform }) => [
    platform?.firmware ? [fileName(platform.firmware.codePath), platform.firmware.secureBoot] : null,
    platform?.watchdog ?? null,
    platform?.tpm ?? false,
    platform?.devices ?? [],
  ],
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
