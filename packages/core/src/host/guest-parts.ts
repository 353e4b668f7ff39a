/** What of a guest's launch is this host's own: paths of files and names of taps. */
import type { ContainerSettings } from '../model/container.ts'
import { packetsPerSecondOf } from '../model/container-limits.ts'
import type { Guest, Nic } from '../model/guest.ts'
import { nicSlot } from '../model/hardware.ts'
import type { GuestLaunch, LaunchContainer } from '../ports/guest-host.ts'
import type { NetworkHost, NicPace } from '../ports/network-host.ts'
import { ok, type Result } from '../result.ts'
import { openMedia } from './guest-media.ts'
import type { HostContext } from './host-context.ts'
import { platformParts } from './platform-parts.ts'

export type GuestParts = Pick<GuestLaunch, 'boot' | 'cdroms' | 'nics' | 'platform' | 'container'>

/** `arriving`: the guest runs on another host and is on its way here. */
export async function guestParts(
  context: HostContext,
  guest: Guest,
  { arriving = false } = {},
): Promise<Result<GuestParts>> {
  if (guest.container) {
    const nics: GuestLaunch['nics'][number][] = []
    for (const [position, nic] of guest.nics.entries()) {
      const slot = nicSlot(nic, position)
      const port = await containerPort(context.network, guest, slot, nic)
      if (!port.ok) return port
      nics.push({ ...nic, slot, tap: port.value })
    }
    return ok({ boot: { kind: 'container' }, container: launchContainer(guest, guest.container), nics })
  }
  const boot = await bootParts(context, guest)
  if (!boot.ok) return boot
  const cdroms = await openMedia(context, guest)
  if (!cdroms.ok) return cdroms
  const platform = await platformParts(context, guest)
  if (!platform.ok) return platform
  const nics: GuestLaunch['nics'][number][] = []
  for (const [position, nic] of guest.nics.entries()) {
    const slot = nicSlot(nic, position)
    const tap = await context.network.ensureTap(guest.id, slot, withPace(guest, nic), { arriving })
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

/** The name that a container's port will have. It is made with the card, and is filtered from its first frame. */
export async function containerPort(
  network: NetworkHost,
  guest: Guest,
  slot: number,
  nic: Nic,
): Promise<Result<string>> {
  const isolated = await network.isolate(guest.id, slot, withPace(guest, nic))
  return isolated.ok ? ok(network.portName(guest.id, slot)) : isolated
}

export function withPace(guest: Guest, nic: Nic): Nic & NicPace {
  const packetsPerSecond = packetsPerSecondOf(guest, nic)
  return packetsPerSecond === undefined ? nic : { ...nic, packetsPerSecond }
}

/** What of its settings a host needs, with all that was left out. */
export function launchContainer({ name }: Guest, settings: ContainerSettings): LaunchContainer {
  const { system, idBase, hostname = name, privileged, nesting = false } = settings
  return {
    ...{ hostname, system, nesting },
    ...(privileged ? {} : { idBase }),
    nameservers: settings.nameservers ?? [],
    searchDomains: settings.searchDomains ?? [],
    limits: settings.limits ?? {},
    mounts: settings.mounts ?? [],
  }
}

async function bootParts({ blobPath }: HostContext, { boot }: Guest): Promise<Result<GuestLaunch['boot']>> {
  if (boot.kind !== 'kernel') return ok({ kind: boot.kind })
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
