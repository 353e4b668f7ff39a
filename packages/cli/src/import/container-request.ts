/** From the wish of a foreign configuration, and what the administrator says beside it, to a request for a container. */
import type { CallInput } from '@stead/api/endpoint.ts'
import type { ENDPOINTS } from '@stead/api/endpoints.ts'
import { tagSchema } from '@stead/api/lifecycle-records.ts'
import { failure } from '@stead/core/errors.ts'
import { limitsProblem, type ContainerLimits } from '@stead/core/model/container-limits.ts'
import { isContainerResource, pagesOf } from '@stead/core/model/container-resources.ts'
import { LIFECYCLE_LIMITS } from '@stead/core/model/lifecycle.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ContainerWish, ImportRemark, WishedNic } from './container-wish.ts'

type CreateBody = CallInput<(typeof ENDPOINTS)['guest.create']>['body']
type SetBody = CallInput<(typeof ENDPOINTS)['guest.set']>['body']
type ContainerBody = NonNullable<CreateBody['container']>

/** All of a request but the template, which is made only when everything else is right. */
export interface ContainerRequest {
  readonly body: Omit<CreateBody, 'container'> & { readonly container: Omit<ContainerBody, 'template'> }
  /** What a container is told once it is there. */
  readonly settings: SetBody
  readonly changed: readonly ImportRemark[]
  readonly leftOut: readonly ImportRemark[]
}

/** What was said on the command line; it wins. */
export interface ContainerChoices {
  readonly name?: string
  readonly memoryBytes?: number
  readonly diskBytes?: number
  readonly cpus?: number
  readonly replicas: 1 | 2 | 3
  readonly root: 'image' | 'native'
  readonly rootCopy?: CreateBody['rootCopy']
  readonly pool?: string
  readonly host?: string
  readonly privileged: boolean
  readonly nesting: boolean
  readonly start: boolean
  readonly container: Partial<Omit<ContainerBody, 'template'>>
}

const MIB = 2 ** 20
const BLOCK_BYTES = 4096
const NAMESERVERS_MAX = 3
const SEARCH_DOMAINS_MAX = 6
/** The size of the root and of the memory have a place of their own. */
const SIZES = new Set(['physpages', 'swappages', 'diskspace', 'diskinodes'])

export function requestOf(wish: ContainerWish, choices: ContainerChoices): Result<ContainerRequest> {
  const changed: ImportRemark[] = []
  const leftOut: ImportRemark[] = []
  const remark = (list: ImportRemark[], what: string, text: string) => list.push({ what, where: 'request', text })
  const memory = choices.memoryBytes ?? wish.memoryBytes
  if (memory === undefined) return missing('how much memory it has', '--memory')
  const disk = choices.diskBytes ?? wish.diskBytes
  if (disk === undefined) return missing('how large its root is', '--disk')
  const memoryBytes = Math.ceil(memory / MIB) * MIB
  if (memoryBytes !== memory) remark(changed, 'memory', `${memoryBytes / MIB} MiB: sizes are whole mebibytes`)
  const percent = wish.limits['cpulimit']?.limit
  const cpus = choices.cpus ?? wish.cpus ?? (percent === undefined ? undefined : Math.ceil(percent / 100))
  if (cpus === undefined) remark(changed, 'processors', 'the file limits them not: 1; give --cpus')
  if (wish.diskInodes !== undefined)
    remark(changed, 'diskinodes', `as many as a file system of its size has, not ${wish.diskInodes}`)
  if (wish.startOrder !== undefined)
    remark(leftOut, 'order of starting', 'give a --priority (`stead ct set`), or a rule of order')
  if (wish.autostart) remark(changed, 'started by itself', 'once it is started, the cluster keeps it so, on any host')
  if (wish.privileged && !choices.privileged)
    remark(changed, 'privileged', 'it is made unprivileged; with --privileged it is what it was')
  if (wish.nesting && !choices.nesting) remark(changed, 'nesting', 'not given; --nesting gives it')

  const [nic, ...otherNics] = wish.nics.toSorted(
    (a, b) => Number(b.addresses.length > 0) - Number(a.addresses.length > 0),
  )
  for (const other of otherNics)
    remark(leftOut, `card ${other.name ?? other.bridge}`, 'add it: `stead ct nic add`; a new container has one card')
  if (nic?.mac !== undefined) remark(changed, `card ${nic.name ?? ''}`, 'it has a new hardware address, not its own')
  const addresses = choices.container.addresses ?? addressesOf(nic, (address, why) => remark(leftOut, address, why))
  const gateways =
    choices.container.gateways ??
    [nic?.gateway, nic?.gateway6].filter((each) => each !== undefined).filter(() => addresses.length > 0)
  const limits = limitsOf(wish, nic, choices.container.limits ?? {})
  const problem = limitsProblem(limits, { memoryBytes, cpus: cpus ?? 1 })
  if (problem) return fail(problem)

  const volumes = wish.mounts.filter(({ kind, sizeBytes }) => kind === 'volume' && sizeBytes !== undefined)
  for (const { path, source } of wish.mounts.filter((mount) => !volumes.includes(mount)))
    remark(leftOut, `mount ${path}`, `${source} stays where it is; copy what is needed`)
  for (const { path } of volumes) remark(changed, `mount ${path}`, 'an empty disk: copy its content into it')
  const place = { replicas: choices.replicas, ...(choices.pool === undefined ? {} : { pool: choices.pool }) }
  const nameservers = choices.container.nameservers ?? wish.nameservers.slice(0, NAMESERVERS_MAX)
  const searchDomains = choices.container.searchDomains ?? wish.searchDomains.slice(0, SEARCH_DOMAINS_MAX)
  if (wish.nameservers.length > NAMESERVERS_MAX) remark(leftOut, 'name servers', 'those after the third')
  if (wish.searchDomains.length > SEARCH_DOMAINS_MAX) remark(leftOut, 'search domains', 'those after the sixth')
  const hostname = choices.container.hostname ?? wish.hostname?.toLowerCase()
  return ok({
    body: {
      name: choices.name ?? wish.name.toLowerCase(),
      memoryBytes,
      cpus: cpus ?? 1,
      boot: { kind: 'container' },
      disks: [disk, ...volumes.map(({ sizeBytes = 0 }) => sizeBytes)].map((size) => ({
        sizeBytes: Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES,
        ...place,
      })),
      container: {
        ...(choices.root === 'native' ? { root: choices.root } : {}),
        ...(hostname === undefined ? {} : { hostname }),
        addresses: [...addresses],
        gateways: [...gateways],
        nameservers: [...nameservers],
        searchDomains: [...searchDomains],
        privileged: choices.privileged,
        nesting: choices.nesting,
        limits,
        mounts: volumes.map(({ path }) => path),
      },
      ...(choices.rootCopy ? { rootCopy: choices.rootCopy } : {}),
      nic: wish.nics.length > 0 || addresses.length > 0,
      start: choices.start,
      ...(choices.host === undefined ? {} : { host: choices.host }),
    },
    settings: settingsOf(wish, (what, why) => remark(leftOut, what, why)),
    changed,
    leftOut,
  })
}

function missing(what: string, option: string): Result<never> {
  return fail(failure('bad_request', `The file does not say ${what}`, { hint: `Give ${option}` }))
}

/** Those that have the length of their network; without it nobody knows what is reached directly. */
function addressesOf(nic: WishedNic | undefined, leave: (address: string, why: string) => void): string[] {
  const addresses = nic?.addresses ?? []
  for (const address of addresses)
    if (!address.includes('/')) leave(address, 'without the length of its network: give --address ADDRESS/LENGTH')
  return addresses.filter((address) => address.includes('/'))
}

function limitsOf(wish: ContainerWish, nic: WishedNic | undefined, said: ContainerLimits): ContainerLimits {
  const known = Object.entries(wish.limits).filter(([name]) => isContainerResource(name) && !SIZES.has(name))
  return {
    ...Object.fromEntries(known),
    ...(wish.swapBytes === undefined ? {} : { swappages: { limit: pagesOf(wish.swapBytes) } }),
    ...(nic?.bytesPerSecond === undefined ? {} : { netrate: { limit: Math.floor((nic.bytesPerSecond * 8) / 1000) } }),
    ...said,
  }
}

function settingsOf(wish: ContainerWish, leave: (what: string, why: string) => void): SetBody {
  const tags = wish.tags.filter((tag) => tagSchema.safeParse(tag).success).slice(0, LIFECYCLE_LIMITS.tags)
  for (const tag of wish.tags) if (!tags.includes(tag)) leave(`tag ${tag}`, 'tags are written otherwise here')
  const notes = wish.notes?.slice(0, LIFECYCLE_LIMITS.notesLength)
  if (notes !== wish.notes) leave('notes', `what is beyond ${LIFECYCLE_LIMITS.notesLength} characters`)
  return {
    ...(wish.autostart ? { autostart: true } : {}),
    ...(tags.length === 0 ? {} : { tags }),
    ...(notes === undefined || notes === '' ? {} : { notes }),
  }
}
