/** Starts a guest for a run that has just been granted: its disks at the new epoch, its taps, its files. */
import { failure } from '../errors.ts'
import type { Grant } from '../model/grant.ts'
import { growthOf } from '../model/growth.ts'
import type { Guest } from '../model/guest.ts'
import { diskSlot } from '../model/hardware.ts'
import { volumesOf } from '../model/records.ts'
import type { GuestDisk, GuestLaunch, RunningGuest } from '../ports/guest-host.ts'
import { fail, ok, type Result } from '../result.ts'
import { openDisk } from './disk-opening.ts'
import { guestParts } from './guest-parts.ts'
import type { HostContext } from './host-context.ts'
import { resumeGuest } from './memory-resume.ts'
import type { RunRecords } from './run-records.ts'

/** `ran`: the hypervisor may have touched the disks before it failed. */
export type Launched = Result<{ readonly running: RunningGuest; readonly disks: readonly GuestDisk[] }> & {
  readonly ran?: boolean
}

export async function launchGuest(
  context: HostContext,
  guest: Guest,
  grant: Grant,
  records: RunRecords,
): Promise<Launched> {
  const { id, name, kind } = guest
  const isServed = volumesOf(context.mirror.state, guest)?.every(({ value }) => value.form !== 'subvolume')
  // The opening of its disks is mostly waiting.
  const endExpected = isServed ? context.guests.expect({ guest: id, name, kind, epoch: grant.epoch }) : undefined
  try {
    return await launch(context, guest, grant, records)
  } finally {
    endExpected?.()
    context.hostDevices.settle(id)
  }
}

async function launch(context: HostContext, guest: Guest, grant: Grant, records: RunRecords): Promise<Launched> {
  const { mirror, guests, self } = context
  const volumes = volumesOf(mirror.state, guest)
  if (!volumes) return fail(failure('internal', 'A volume of the guest has no record'))
  // A container's port is made by its start; of a VM a run that is refused its disks leaves no tap.
  const early = guest.container ? guestParts(context, guest) : undefined
  const opened = await Promise.all(volumes.map((volume) => openDisk(context, grant, volume.value, records)))
  const disks: GuestDisk[] = []
  for (const [position, disk] of opened.entries()) {
    if (!disk.ok) return disk
    const { value: volume } = volumes[position]!
    disks.push(volume.role === undefined ? { ...disk.value, slot: diskSlot(volume, position) } : disk.value)
  }
  const parts = await (early ?? guestParts(context, guest))
  if (!parts.ok) return parts
  const accelerator = mirror.state.hosts.get(self)?.value.accelerator === 'kvm' ? 'kvm' : 'tcg'
  const launch: GuestLaunch = {
    guest: guest.id,
    name: guest.name,
    epoch: grant.epoch,
    memoryBytes: guest.memoryBytes,
    cpus: guest.cpus,
    ...growthOf(guest),
    ...parts.value,
    disks,
    accelerator,
    ...(grant.processorLevel === undefined ? {} : { processorLevel: grant.processorLevel }),
    ...(guest.display === undefined ? {} : { display: guest.display }),
  }
  if (guest.resumeFrom !== undefined) {
    const resumed = await resumeGuest(context, guest, launch, records)
    return resumed.ok ? ok({ running: resumed.value, disks }) : resumed
  }
  const running = await guests.start(launch)
  return running.ok ? ok({ running: running.value, disks }) : { ...running, ran: true }
}
