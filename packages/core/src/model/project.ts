/** Tenants: guests with their volumes, and images, belong to a project. docs/internals/access.md. */
import type { ClusterState } from './cluster.ts'
import type { Guest } from './guest.ts'
import type { ProjectQuota } from './project-quota.ts'
import type { Volume } from './volume.ts'

/** Of what was there before there were others. It always exists; it has a record only once something was set of it. */
export const DEFAULT_PROJECT = 'default'

export interface Project {
  readonly name: string
  readonly notes?: string
  /** What it may have; no limit of what is absent. */
  readonly quota?: ProjectQuota
  /** Groups: they and their members may be named by whoever delegates within the project. */
  readonly people?: readonly string[]
  readonly createdAt: number
}

/** Of a guest, and of a backup of one. */
export function projectOf({ project = DEFAULT_PROJECT }: Pick<Guest, 'project'>): string {
  return project
}

/** That of its guest; of a volume that was kept when its guest went: the one in which it was kept. */
export function projectOfVolume({ guests }: Pick<ClusterState, 'guests'>, volume: Volume): string {
  const guest = guests.get(volume.guest)?.value
  return projectOf(guest ?? volume)
}

export function projectExists({ projects }: Pick<ClusterState, 'projects'>, name: string): boolean {
  return name === DEFAULT_PROJECT || projects.has(name)
}
