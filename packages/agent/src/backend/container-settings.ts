/** From what a user asks of a container to its settings: everything that can be refused is refused here. Pure. */
import type { ContainerChange } from '@stead/api/container-records.ts'
import type { CreateGuest } from '@stead/api/endpoints/guests.ts'
import { failure, type Failure } from '@stead/core/errors.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { freeIdBase, type ContainerSettings, type ContainerSystem } from '@stead/core/model/container.ts'
import { changedLimits, limitsProblem } from '@stead/core/model/container-limits.ts'
import { templateByName } from '@stead/core/model/container-template.ts'
import type { Guest, Nic } from '@stead/core/model/guest.ts'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** Settings of a new container whose volumes have these ids, the root first. */
export function newContainer(
  state: ClusterState,
  request: CreateGuest,
  volumes: readonly VolumeId[],
  likeSystem?: ContainerSystem,
): Result<ContainerSettings> {
  const asked = request.container!
  const system = likeSystem ? ok(likeSystem) : systemOf(state, asked.template)
  if (!system.ok) return system
  if (request.disks.length !== asked.mounts.length + 1)
    return fail(
      failure('bad_request', 'A container has one disk for its root and one for each place where another is mounted', {
        hint: 'Give --disk SIZE for the root, and --mount SIZE:/PATH for each of the others',
      }),
    )
  const twice = asked.mounts.find((path, index) => asked.mounts.indexOf(path) !== index)
  if (twice !== undefined) return fail(failure('bad_request', `Two disks would be mounted on ${twice}`))
  const problem = vmOnly(request) ?? limitsProblem(asked.limits, request)
  if (problem) return fail(problem)
  const taken = new Set([...state.guests.values()].flatMap(({ value }) => value.container?.idBase ?? []))
  const idBase = freeIdBase(taken)
  if (idBase === undefined) return fail(failure('no_capacity', 'No user ids are left for another container'))
  const { hostname, nameservers, searchDomains, privileged, nesting, limits, mounts } = asked
  return ok({
    // The very version, which the name alone does not say later on.
    template: templateByName(state.images, asked.template)?.value.name ?? asked.template,
    system: system.value,
    idBase,
    ...(hostname === undefined ? {} : { hostname }),
    ...(nameservers.length === 0 ? {} : { nameservers }),
    ...(searchDomains.length === 0 ? {} : { searchDomains }),
    ...(privileged ? { privileged } : {}),
    ...(nesting ? { nesting } : {}),
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
    ...(mounts.length === 0 ? {} : { mounts: mounts.map((path, index) => ({ volume: volumes[index + 1]!, path })) }),
  })
}

/** What the template knows of its system. */
function systemOf(state: ClusterState, name: string): Result<ContainerSystem> {
  const image = templateByName(state.images, name)?.value ?? state.images.get(name)?.value
  const hint = 'See `stead template list`, or make one: `stead template build busybox`'
  if (!image) return fail(failure('not_found', `There is no template ${name}`, { hint }))
  if (image.kind === 'root' && image.root) return ok(image.root.system)
  return fail(
    failure('bad_request', `${name} is no template of containers, but an image for virtual machines`, { hint }),
  )
}

function vmOnly(request: CreateGuest): Failure | undefined {
  const { display, media, platform, processor, memoryMaxBytes, cpusMax } = request
  const given = Object.entries({ display, media, platform, processor, memoryMaxBytes, cpusMax }).find(
    ([, value]) => value !== undefined,
  )
  return given && failure('bad_request', `\`${given[0]}\` is of virtual machines, and a container has none`)
}

/** The card of a new container. */
export function containerNic({ container }: CreateGuest, mac: string): Nic {
  const { addresses, gateways } = container!
  return {
    ...{ mac, network: 'lan' },
    ...(addresses.length === 0 ? {} : { addresses }),
    ...(gateways.length === 0 ? {} : { gateways }),
  }
}

/** The guest whose address one of these is; a template of no address is none. */
export function addressInUse(state: ClusterState, id: GuestId, addresses: readonly string[] = []): Failure | undefined {
  const wanted = new Set(addresses.map(withoutPrefix))
  for (const { value: other } of state.guests.values()) {
    if (other.id === id) continue
    const found = other.nics.flatMap((nic) => nic.addresses ?? []).find((each) => wanted.has(withoutPrefix(each)))
    if (found !== undefined)
      return failure('conflict', `${withoutPrefix(found)} is an address of ${other.name}`, {
        hint: 'Two guests with one address would lose their connections; choose another one',
      })
  }
  return undefined
}

function withoutPrefix(address: string): string {
  return address.split('/')[0]!.toLowerCase()
}

/** A request for another container like this one; addresses would be there twice. */
export function containerLike(source: ContainerSettings): CreateGuest['container'] {
  const { template, privileged = false, nesting = false, mounts = [] } = source
  return {
    ...{ template, root: 'image', privileged, nesting, addresses: [], gateways: [] },
    nameservers: [...(source.nameservers ?? [])],
    searchDomains: [...(source.searchDomains ?? [])],
    limits: { ...source.limits },
    mounts: mounts.map(({ path }) => path),
  }
}

/** The container as it is to be. */
export function changedContainer(state: ClusterState, guest: Guest, change: ContainerChange): Result<Guest> {
  const { container } = guest
  if (!container) return fail(failure('bad_request', `${guest.name} is a virtual machine, no container`))
  const { addresses, gateways, limits, nesting, ...texts } = change
  const used = addressInUse(state, guest.id, addresses)
  if (used) return fail(used)
  const nextLimits = limits === undefined ? container.limits : changedLimits(container.limits ?? {}, limits)
  const problem = nextLimits && limitsProblem(nextLimits, guest)
  if (problem) return fail(problem)
  const { nesting: _nesting, limits: _limits, ...rest } = container
  const nests = nesting ?? container.nesting ?? false
  const next: ContainerSettings = {
    ...rest,
    ...Object.fromEntries(Object.entries(texts).filter(([, value]) => value !== undefined)),
    ...(nests ? { nesting: true } : {}),
    ...(nextLimits && Object.keys(nextLimits).length > 0 ? { limits: nextLimits } : {}),
  }
  if ((addresses || gateways) && guest.nics.length === 0)
    return fail(failure('conflict', `${guest.name} has no network card that could have an address`))
  const nics = guest.nics.map((nic, index) => (index === 0 ? withAddresses(nic, { addresses, gateways }) : nic))
  return ok({ ...guest, nics, container: next })
}

export interface NicAddresses {
  readonly addresses?: readonly string[] | undefined
  readonly gateways?: readonly string[] | undefined
}

/** What is not said stays as it is. */
export function withAddresses(nic: Nic, { addresses = nic.addresses, gateways = nic.gateways }: NicAddresses): Nic {
  const { addresses: _addresses, gateways: _gateways, ...rest } = nic
  return {
    ...rest,
    ...(addresses && addresses.length > 0 ? { addresses } : {}),
    ...(gateways && gateways.length > 0 ? { gateways } : {}),
  }
}
