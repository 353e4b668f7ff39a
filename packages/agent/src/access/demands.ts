/** What a request needs: privileges, and on which paths. Pure. */
import type { Endpoint } from '@stead/api/endpoint.ts'
import type { EndpointId } from '@stead/api/endpoints.ts'
import {
  ACCESS_PATH,
  backupPath,
  CLUSTER_PATH,
  guestPath,
  hostPath,
  imagePath,
  projectPath,
  volumePath,
} from '@stead/core/access/object-path.ts'
import type { Privilege } from '@stead/core/access/privilege.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { templateByName } from '@stead/core/model/container-template.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import { DEFAULT_PROJECT, projectOf } from '@stead/core/model/project.ts'
import { guestByName } from '@stead/core/model/records.ts'

export interface Demand {
  readonly privilege: Privilege
  readonly path: string
  /** Who lacks this privilege must not learn that the object exists: `missing` is all that he is told. */
  readonly seenBy?: Privilege
  readonly missing?: { readonly message: string; readonly hint: string }
}

/** Any endpoint's parsed input. */
export interface AnyInput {
  readonly params?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, unknown>>
  readonly body?: unknown
}

/** Of lists, events and operations nothing is demanded beforehand: their answers are filtered. */
export function demandsOf(endpoint: Endpoint, input: AnyInput, state: ClusterState, whatIf: boolean): Demand[] {
  const { permission } = endpoint
  if (permission === 'none') return []
  return [
    ...ofObject(endpoint, permission, input, state),
    ...(OF_INPUT[endpoint.id as EndpointId]?.(input as never, state) ?? []),
    // What a change would do is told of all guests and hosts.
    ...(whatIf ? [{ privilege: 'cluster.view', path: CLUSTER_PATH } as const] : []),
  ]
}

function ofObject(endpoint: Endpoint, privilege: Privilege, input: AnyInput, state: ClusterState): Demand[] {
  const { params = {}, query = {}, body } = input
  const ofCopy = () => projectNamed(body) ?? projectOf(guestOf(state, params['guest'] ?? '') ?? {})
  switch (endpoint.on) {
    case 'cluster':
      return [{ privilege, path: CLUSTER_PATH }]
    case 'access':
      return [{ privilege, path: ACCESS_PATH }]
    case 'new-guest':
      return [{ privilege, path: projectPath(projectNamed(body) ?? DEFAULT_PROJECT) }]
    case 'new-image':
      return [{ privilege, path: ofImages(projectNamed(body) ?? projectNamed(query)) }]
    case 'import':
      return [{ privilege, path: ofImages(state.imports.get(params['image'] ?? '')?.value.project) }]
    case 'project': {
      const { project = '' } = params
      const missing = { message: `There is no project ${project}`, hint: 'See `stead project list`' }
      return [{ privilege, path: projectPath(project), seenBy: 'project.view', missing }]
    }
    case 'guest':
      return [ofGuest(state, params['guest'] ?? '', privilege)]
    case 'clone':
      return [ofGuest(state, params['guest'] ?? '', privilege), { privilege, path: projectPath(ofCopy()) }]
    case 'moved-guest':
      return [
        ofGuest(state, params['guest'] ?? '', privilege),
        { privilege: 'guest.create', path: projectPath(projectNamed(body) ?? DEFAULT_PROJECT) },
      ]
    case 'host': {
      const { host = '' } = params
      const missing = { message: `There is no host ${host}`, hint: 'See `stead host list`' }
      return [{ privilege, path: hostPath(host), seenBy: 'host.view', missing }]
    }
    case 'volume': {
      const { volume = '' } = params
      const missing = { message: `There is no volume ${volume}`, hint: 'See `stead volume list`' }
      return [{ privilege, path: volumePath(state, volume), seenBy: 'volume.view', missing }]
    }
    case 'image':
      return [ofImage(state, params['image'] ?? params['template'] ?? '', privilege)]
    case 'backup': {
      const { backup = '' } = params
      const missing = { message: `There is no backup ${backup}`, hint: 'See `stead backup list`' }
      return [{ privilege, path: backupPath(state, backup), seenBy: 'guest.view', missing }]
    }
    case 'hosts':
    case 'guests':
    case 'volumes':
    case 'images':
    case 'backups':
    case 'projects':
    case 'usages':
    case 'operation':
    case 'operations':
    case 'event':
    case 'events':
    case 'views':
    case 'self':
      return []
    default:
      return endpoint.on satisfies never
  }
}

/** Where images are that belong to this project, or to the cluster. */
function ofImages(project: string | undefined): string {
  return project === undefined ? CLUSTER_PATH : projectPath(project)
}

function projectNamed(body: unknown): string | undefined {
  return (body as { readonly project?: string } | undefined)?.project
}

function ofGuest(state: ClusterState, nameOrId: string, privilege: Privilege): Demand {
  const guest = guestOf(state, nameOrId)
  const missing = { message: `There is no guest ${nameOrId}`, hint: 'See `stead vm list`' }
  // One that does not exist is asked for as one of the project, so that who sees the project is told plainly.
  return { privilege: guest ? privilege : 'guest.view', path: pathOf(guest), seenBy: 'guest.view', missing }
}

function ofImage(state: ClusterState, name: string, privilege: Privilege): Demand {
  const template = templateByName(state.images, name)?.value.name
  const missing = { message: `There is no image ${name}`, hint: 'See `stead image list`' }
  return {
    privilege,
    path: imagePath(state, state.images.has(name) ? name : (template ?? name)),
    seenBy: 'image.view',
    missing,
  }
}

function guestOf(state: ClusterState, nameOrId: string): Guest | undefined {
  return (state.guests.get(nameOrId as GuestId) ?? guestByName(state, nameOrId))?.value
}

function pathOf(guest: Guest | undefined): string {
  return guest ? guestPath(guest) : projectPath(DEFAULT_PROJECT)
}

interface NewGuest {
  readonly disks: readonly { readonly image?: string }[]
  readonly container?: { readonly template: string; readonly privileged: boolean }
  readonly media?: { readonly cdrom?: string | null }
  readonly platform?: { readonly devices?: object }
}

/** What the body of a request names besides the object of the endpoint. */
const OF_INPUT: Partial<Record<EndpointId, (input: never, state: ClusterState) => Demand[]>> = {
  'guest.create': newGuest,
  'guest.plan': newGuest,
  'guest.clone': ({ params }: { params: { guest: string } }, state: ClusterState) =>
    guestOf(state, params.guest)?.container?.privileged ? [ROOT_OF_HOST] : [],
  'guest.disk-add': ({ body }: { body: { image?: string; volume?: string } }, state: ClusterState) => {
    return [
      ...imagesNamed(state, [body.image]),
      ...(body.volume !== undefined && state.volumes.has(body.volume as VolumeId)
        ? [{ privilege: 'guest.configure', path: volumePath(state, body.volume) } as const]
        : []),
    ]
  },
  'image.assign': ({ body }: { body: { project: string | null } }) => [
    { privilege: 'image.manage', path: body.project === null ? CLUSTER_PATH : projectPath(body.project) },
  ],
  // They name hosts and guests.
  'metrics.scrape': () => [
    { privilege: 'guest.view', path: CLUSTER_PATH },
    { privilege: 'host.view', path: CLUSTER_PATH },
  ],
  'storage.load': () => [{ privilege: 'guest.view', path: CLUSTER_PATH }],
  'guest.media': ({ body }: { body: { cdrom?: string | null } }, state: ClusterState) =>
    imagesNamed(state, [body.cdrom]),
  // Of one guest only: whether it exists is told to those who see it.
  'schedule.list': ({ query }: { query: { guest?: string } }, state: ClusterState) =>
    query.guest === undefined ? [] : [ofGuest(state, query.guest, 'guest.view')],
}

/** A privileged container's root is the host's root. */
const ROOT_OF_HOST: Demand = { privilege: 'cluster.configure', path: CLUSTER_PATH }

function newGuest({ body }: { body: NewGuest }, state: ClusterState): Demand[] {
  const { disks, container, media, platform } = body
  return [
    ...imagesNamed(state, [...disks.map(({ image }) => image), container?.template, media?.cdrom]),
    ...(container?.privileged ? [ROOT_OF_HOST] : []),
    ...(Object.keys(platform?.devices ?? {}).length > 0
      ? [{ privilege: 'host.configure', path: CLUSTER_PATH } as const]
      : []),
  ]
}

function imagesNamed(state: ClusterState, names: readonly (string | null | undefined)[]): Demand[] {
  return names.flatMap((name) => (name ? [ofImage(state, name, 'image.view')] : []))
}
