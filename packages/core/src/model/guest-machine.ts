/**
 * Whether a machine that is about to be made is the one that a guest knows, device by device. A guest that boots looks
 * at what it has; one whose memory is brought back knows it already, and would lose its mind over anything else.
 */
import type { GuestLaunch } from '../ports/guest-host.ts'
import { growthOf } from './growth.ts'
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
  const { cpusMax: _cpus, memoryMaxBytes: _memory, ...parts } = rest
  const recorded: GuestLaunch = {
    ...grownLike({ ...parts, memoryBytes: guest.memoryBytes, cpus: guest.cpus, ...growthOf(guest) }, known),
    display: guest.display ?? 'none',
    nics: guest.nics.map((nic, position) => ({ ...nic, slot: nicSlot(nic, position), tap: '' })),
    disks: volumes.map(({ id, sizeBytes, role, ...volume }, position) => ({
      ...{ volume: id, sizeBytes, legs: [], width: 1 },
      ...(role === undefined ? { slot: diskSlot({ id, sizeBytes, ...volume }, position) } : { role }),
    })),
  }
  return machineDifferences(rest, recorded)
}

/** The launch with its memory divided into what the guest boots with and what was added, as `known` has it. */
export function grownLike(launch: GuestLaunch, { memoryBytes, memoryAddedBytes = 0 }: GuestLaunch): GuestLaunch {
  const isOfThatSize = launch.memoryBytes === memoryBytes + memoryAddedBytes
  return isOfThatSize ? { ...launch, memoryBytes, memoryAddedBytes } : { ...launch, memoryAddedBytes: 0 }
}

const PARTS: Readonly<Record<string, (launch: GuestLaunch) => unknown>> = {
  'the kind of machine': ({ machine, accelerator }) => [machine, accelerator],
  'the kind of processor': ({ processorLevel }) => processorLevel ?? null,
  memory: ({ memoryBytes, memoryAddedBytes, memoryMaxBytes, platform }) => [
    ...[memoryBytes, memoryAddedBytes ?? 0, memoryMaxBytes ?? 0],
    ...[platform?.memory?.nodes ?? 1, platform?.memory?.pageBytes ?? 0],
  ],
  processors: ({ cpus, cpusMax }) => [cpus, cpusMax ?? 0],
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
    boot.kind === 'kernel' ? [fileName(boot.kernelPath), fileName(boot.initrdPath ?? ''), boot.append] : [],
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
