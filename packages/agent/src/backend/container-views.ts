/** What the API shows of containers. Pure. */
import type { GuestView } from '@stead/api/views.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import { nicSlot } from '@stead/core/model/hardware.ts'

export function containerView({ name, container }: Guest): GuestView['container'] {
  if (!container) return null
  const { template, hostname = name, privileged = false, nesting = false, idBase } = container
  const { nameservers = [], searchDomains = [], limits = {}, mounts = [] } = container
  return {
    ...{ template, hostname, privileged, nesting, idBase },
    nameservers: [...nameservers],
    searchDomains: [...searchDomains],
    limits: { ...limits },
    mounts: mounts.map((mount) => ({ ...mount })),
  }
}

export function nicViews({ nics }: Guest): GuestView['nics'] {
  return nics.map(({ addresses, gateways, ...nic }, position) => ({
    ...nic,
    slot: nicSlot(nic, position),
    ...(addresses ? { addresses: [...addresses] } : {}),
    ...(gateways ? { gateways: [...gateways] } : {}),
  }))
}
