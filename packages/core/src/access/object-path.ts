/** The paths on which permissions are given: from an object to its path, and between what is kept and what people write. */
import { failure } from '../errors.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { GuestId, HostId, VolumeId } from '../model/ids.ts'
import { guestByName } from '../model/records.ts'
import { fail, ok, type Result } from '../result.ts'

export const CLUSTER_PATH = '/'
export const ACCESS_PATH = '/access'
/** Of all guests, as long as there is but one project. */
export const PROJECT_PATH = '/projects/default'

const ACCESS_SUBJECTS: ReadonlySet<string> = new Set(['user', 'group', 'role', 'permission', 'token'])

type Records = Pick<ClusterState, 'guests' | 'hosts' | 'volumes' | 'images'>

/** By id, since a name may be another guest's tomorrow. */
export function guestPath(guest: GuestId): string {
  return `${PROJECT_PATH}/guests/${guest}`
}

export function hostPath(host: string): string {
  return `/hosts/${host}`
}

export function imagePath(image: string): string {
  return `/images/${image}`
}

/** That of its guest, which it also was before it was kept. */
export function volumePath({ volumes }: Records, id: string): string {
  const volume = volumes.get(id as VolumeId)?.value
  return volume ? guestPath(volume.guest) : CLUSTER_PATH
}

/** Of what an event or an operation is about: `guest/<name or id>`, `host/<name>`, `volume/<id>`, `rule/<name>`, `cluster`. */
export function subjectPath(records: Records, subject: string): string {
  const slash = subject.indexOf('/')
  const [kind, name] = slash === -1 ? [subject, ''] : [subject.slice(0, slash), subject.slice(slash + 1)]
  if (kind === 'host') return hostPath(name)
  if (kind === 'volume') return volumePath(records, name)
  if (ACCESS_SUBJECTS.has(kind)) return ACCESS_PATH
  if (kind !== 'guest') return CLUSTER_PATH
  const guest = records.guests.get(name as GuestId)?.value ?? guestByName(records, name)?.value
  // What was said of a guest that is gone is for those who see its project.
  return guest ? guestPath(guest.id) : PROJECT_PATH
}

/** From what somebody writes: `/guests/web1` stands for the long path. Objects that do not exist are refused. */
export function readPath(records: Records, text: string): Result<string> {
  const [first = '', ...rest] = text.replace(/^\//, '').split('/')
  const name = rest.join('/')
  if (!text.startsWith('/')) return unknownPath(text)
  if (text === CLUSTER_PATH || text === ACCESS_PATH || text === PROJECT_PATH) return ok(text)
  if (first === 'hosts' && records.hosts.has(name as HostId)) return ok(text)
  if (first === 'images' && records.images.has(name)) return ok(text)
  const short = text.startsWith(`${PROJECT_PATH}/guests/`) ? rest.slice(2).join('/') : first === 'guests' ? name : ''
  const guest = records.guests.get(short as GuestId)?.value ?? guestByName(records, short)?.value
  return guest ? ok(guestPath(guest.id)) : unknownPath(text)
}

/** As people know it: the short path of a guest, by its name. */
export function shownPath({ guests }: Pick<ClusterState, 'guests'>, path: string): string {
  const prefix = `${PROJECT_PATH}/guests/`
  if (!path.startsWith(prefix)) return path
  const id = path.slice(prefix.length)
  return `/guests/${guests.get(id as GuestId)?.value.name ?? id}`
}

function unknownPath(text: string): Result<never> {
  return fail(
    failure('not_found', `There is nothing at ${text}`, {
      hint: 'Paths are /, /access, /projects/default, /guests/NAME, /hosts/NAME and /images/NAME',
    }),
  )
}
