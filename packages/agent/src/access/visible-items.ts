/** To which object each item of a list belongs, so that a list shows only what may be seen. Pure. */
import type { AccessObject } from '@stead/api/endpoint.ts'
import {
  backupPath,
  guestPath,
  hostPath,
  imagePath,
  projectPath,
  subjectPath,
  volumePath,
} from '@stead/core/access/object-path.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { templateImageName } from '@stead/core/model/container-template.ts'
import type { GuestId } from '@stead/core/model/ids.ts'

type PathOf = (state: ClusterState, item: never) => string

interface Told {
  readonly subject: string
  readonly project?: string
}

const bySubject = (state: ClusterState, { subject, project }: Told) => subjectPath(state, subject, project)

/** Of the items of what an endpoint is about. */
export const ITEM_PATHS: Partial<Record<AccessObject, PathOf>> = {
  hosts: (_state, { name }: { name: string }) => hostPath(name),
  // Guests themselves, and what belongs to one by its name.
  guests: (state, { id, guest, project }: { id?: string; guest?: string; project?: string }) =>
    guest === undefined && project !== undefined
      ? guestPath({ id: id as GuestId, project })
      : subjectPath(state, `guest/${guest ?? id ?? ''}`),
  volumes: (state, { id }: { id: string }) => volumePath(state, id),
  backups: (state, { id }: { id: string }) => backupPath(state, id),
  usages: (_state, { project }: { project: string }) => projectPath(project),
  projects: (_state, { name }: { name: string }) => projectPath(name),
  images: (state, { name, version }: { name: string; version?: string }) =>
    imagePath(state, version === undefined ? name : templateImageName(name, version)),
  operations: bySubject,
  operation: bySubject,
  events: bySubject,
  event: (state, { event }: { event: Told }) => bySubject(state, event),
}
