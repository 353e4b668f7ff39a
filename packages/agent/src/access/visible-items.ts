/** To which object each item of a list belongs, so that a list shows only what may be seen. Pure. */
import type { AccessObject } from '@stead/api/endpoint.ts'
import { guestPath, hostPath, imagePath, subjectPath, volumePath } from '@stead/core/access/object-path.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { templateImageName } from '@stead/core/model/container-template.ts'
import type { GuestId } from '@stead/core/model/ids.ts'

type PathOf = (state: ClusterState, item: never) => string

const bySubject = (state: ClusterState, { subject }: { subject: string }) => subjectPath(state, subject)

/** Of the items of what an endpoint is about. */
export const ITEM_PATHS: Partial<Record<AccessObject, PathOf>> = {
  hosts: (_state, { name }: { name: string }) => hostPath(name),
  // Guests themselves, and what belongs to one by its name.
  guests: (state, { id, guest }: { id?: string; guest?: string }) =>
    guest === undefined ? guestPath(id as GuestId) : subjectPath(state, `guest/${guest}`),
  volumes: (state, { id }: { id: string }) => volumePath(state, id),
  images: (_state, { name, version }: { name: string; version?: string }) =>
    imagePath(version === undefined ? name : templateImageName(name, version)),
  operations: bySubject,
  operation: bySubject,
  events: bySubject,
  event: (state, { event }: { event: { subject: string } }) => bySubject(state, event),
}
