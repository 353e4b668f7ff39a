/** What of a guest's launch is this host's own: paths of files and names of taps. */
import type { Guest } from '../model/guest.ts'
import { nicSlot } from '../model/hardware.ts'
import type { GuestLaunch } from '../ports/guest-host.ts'
import { ok, type Result } from '../result.ts'
import { openMedia } from './guest-media.ts'
import type { HostContext } from './host-context.ts'
import { platformParts } from './platform-parts.ts'

export type GuestParts = Pick<GuestLaunch, 'boot' | 'cdroms' | 'nics' | 'platform'>

export async function guestParts(context: HostContext, guest: Guest): Promise<Result<GuestParts>> {
  const boot = await bootParts(context, guest)
  if (!boot.ok) return boot
  const cdroms = await openMedia(context, guest)
  if (!cdroms.ok) return cdroms
  const platform = await platformParts(context, guest)
  if (!platform.ok) return platform
  const nics: GuestLaunch['nics'][number][] = []
  for (const [position, nic] of guest.nics.entries()) {
    const slot = nicSlot(nic, position)
    const tap = await context.network.ensureTap(guest.id, slot, nic)
    if (!tap.ok) return tap
    nics.push({ ...nic, slot, tap: tap.value })
  }
  return ok({
    boot: boot.value,
    ...(cdroms.value.length === 0 ? {} : { cdroms: cdroms.value }),
    nics,
    ...platform.value,
  })
}

async function bootParts({ blobPath }: HostContext, { boot }: Guest): Promise<Result<GuestLaunch['boot']>> {
  if (boot.kind === 'disk') return ok({ kind: 'disk' })
  const kernel = await blobPath(boot.kernel)
  if (!kernel.ok) return kernel
  const initrd = boot.initrd === undefined ? undefined : await blobPath(boot.initrd)
  if (initrd && !initrd.ok) return initrd
  return ok({
    kind: 'kernel',
    kernelPath: kernel.value,
    append: boot.append,
    ...(initrd ? { initrdPath: initrd.value } : {}),
  })
}
