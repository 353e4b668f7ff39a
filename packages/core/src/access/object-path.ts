/** The paths on which permissions are given: from an object to its path, and between what is kept and what people write. */
import { failure } from '../errors.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { Guest } from '../model/guest.ts'
import type { GuestId, HostId, VolumeId } from '../model/ids.ts'
import { DEFAULT_PROJECT, projectExists, projectOf, projectOfVolume } from '../model/project.ts'
import { guestByName } from '../model/records.ts'
import { fail, ok, type Result } from '../result.ts'

export const CLUSTER_PATH = '/'
export const ACCESS_PATH = '/access'

const ACCESS_SUBJECTS: ReadonlySet<string> = new Set(['user', 'group', 'role', 'permission', 'token'])

type Records = Pick<ClusterState, 'guests' | 'hosts' | 'volumes' | 'images' | 'backups' | 'projects'>

export function projectPath(project: string): string {
  return `/projects/${project}`
}

/** By id, since a name may be another guest's tomorrow. */
export function guestPath(guest: Pick<Guest, 'id' | 'project'>): string {
  return `${projectPath(projectOf(guest))}/guests/${guest.id}`
}

export function hostPath(host: string): string {
  return `/hosts/${host}`
}

/** An image is of one project, or of the cluster. */
export function imagePath({ images }: Pick<ClusterState, 'images'>, image: string): string {
  const project = images.get(image)?.value.project
  return `${project === undefined ? '' : projectPath(project)}/images/${image}`
}

/** That of its guest, which it also was before it was kept. */
export function volumePath(records: Records, id: string): string {
  const volume = records.volumes.get(id as VolumeId)?.value
  if (!volume) return CLUSTER_PATH
  const guest = records.guests.get(volume.guest)?.value
  return guest ? guestPath(guest) : projectPath(projectOfVolume(records, volume))
}

/** That of its guest, as long as that is there and of the same project. */
export function backupPath({ backups, guests }: Pick<ClusterState, 'backups' | 'guests'>, id: string): string {
  const backup = backups.get(id)?.value
  if (!backup) return CLUSTER_PATH
  const guest = guests.get(backup.guest)?.value
  const project = projectOf(backup)
  return guest && projectOf(guest) === project ? guestPath(guest) : projectPath(project)
}

/**
 * Of what an event or an operation is about: `guest/<name or id>`, `host/<name>`, `volume/<id>`, `image/<name>`,
 * `backup/<id>`, `rule/<name>`, `cluster`.
 * `project`: whose it was then. What was said of a guest that is gone, or of another one of that name, is for those who
 * see that project.
 */
export function subjectPath(records: Records, subject: string, project?: string): string {
  const [kind, name] = subjectParts(subject)
  if (kind === 'host') return hostPath(name)
  if (kind === 'project') return projectPath(name)
  if (kind === 'image')
    return project === undefined || records.images.has(name)
      ? imagePath(records, name)
      : `${projectPath(project)}/images/${name}`
  if (kind === 'backup' && records.backups.has(name)) return backupPath(records, name)
  if (ACCESS_SUBJECTS.has(kind)) return ACCESS_PATH
  if (kind !== 'guest' && kind !== 'volume' && kind !== 'backup') return CLUSTER_PATH
  if (kind === 'volume' && records.volumes.has(name as VolumeId)) return volumePath(records, name)
  const byId = records.guests.get(name as GuestId)?.value
  if (byId) return guestPath(byId)
  const byName = kind === 'guest' ? guestByName(records, name)?.value : undefined
  if (byName && (project === undefined || projectOf(byName) === project)) return guestPath(byName)
  return project === undefined ? CLUSTER_PATH : projectPath(project)
}

/** Whose it is now; undefined where it is nobody's, or not there. */
export function subjectProject(
  records: Pick<ClusterState, 'guests' | 'volumes' | 'backups'>,
  subject: string,
): string | undefined {
  const [kind, name] = subjectParts(subject)
  if (kind === 'project') return name
  const volume = kind === 'volume' ? records.volumes.get(name as VolumeId)?.value : undefined
  if (volume) return projectOfVolume(records, volume)
  const backup = kind === 'backup' ? records.backups.get(name)?.value : undefined
  if (backup) return projectOf(backup)
  if (kind !== 'guest') return undefined
  const guest = records.guests.get(name as GuestId)?.value ?? guestByName(records, name)?.value
  return guest && projectOf(guest)
}

function subjectParts(subject: string): readonly [kind: string, name: string] {
  const slash = subject.indexOf('/')
  return slash === -1 ? [subject, ''] : [subject.slice(0, slash), subject.slice(slash + 1)]
}

const IN_PROJECT = /^\/projects\/([^/]+)(?:\/(guests|images)\/(.+))?$/

/** From what somebody writes: `/guests/web1` stands for the long path. Objects that do not exist are refused. */
export function readPath(records: Records, text: string): Result<string> {
  if (text === CLUSTER_PATH || text === ACCESS_PATH) return ok(text)
  const [, project, kindInProject, nameInProject] = IN_PROJECT.exec(text) ?? []
  if (project !== undefined && kindInProject === undefined)
    return projectExists(records, project) ? ok(text) : unknownPath(text)
  const [, kind = kindInProject, name = nameInProject ?? ''] = /^\/(hosts|guests|images)\/(.+)$/.exec(text) ?? []
  const found = pathOf(records, kind, name)
  if (found === undefined || (project !== undefined && !found.startsWith(`${projectPath(project)}/`)))
    return unknownPath(text)
  return ok(found)
}

function pathOf(records: Records, kind: string | undefined, name: string): string | undefined {
  if (kind === 'hosts') return records.hosts.has(name as HostId) ? hostPath(name) : undefined
  if (kind === 'images') return records.images.has(name) ? imagePath(records, name) : undefined
  if (kind !== 'guests') return undefined
  const guest = records.guests.get(name as GuestId)?.value ?? guestByName(records, name)?.value
  return guest && guestPath(guest)
}

/** Within which project it is; undefined: of the cluster. */
export function projectInPath(path: string): string | undefined {
  return path.startsWith('/projects/') ? IN_PROJECT.exec(path)?.[1] : undefined
}

/**
 * An object's own name among the paths: without its project, so that what was permitted on a guest stays so when the
 * guest comes to another project.
 */
export function ownPath(path: string): string {
  if (!path.startsWith('/projects/')) return path
  const [, , kind, name] = IN_PROJECT.exec(path) ?? []
  return kind === undefined ? path : `/${kind}/${name}`
}

/** As people know it: the short path of a guest, by its name. */
export function shownPath({ guests }: Pick<ClusterState, 'guests'>, path: string): string {
  const own = ownPath(path)
  if (!own.startsWith('/guests/')) return own
  const id = own.slice('/guests/'.length)
  return `/guests/${guests.get(id as GuestId)?.value.name ?? id}`
}

function unknownPath(text: string): Result<never> {
  return fail(
    failure('not_found', `There is nothing at ${text}`, {
      hint: `Paths are /, /access, ${projectPath(DEFAULT_PROJECT)}, /guests/NAME, /hosts/NAME and /images/NAME`,
    }),
  )
}
