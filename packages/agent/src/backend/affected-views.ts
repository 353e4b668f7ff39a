/** Which views a changed record shows up in. Pure. The cluster's and the hosts' sum up all; they are looked at anyway. */
import type { LiveKind } from '@stead/api/endpoints/live-views.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { GuestId, HostId, VolumeId } from '@stead/core/model/ids.ts'
import { PREFIX } from '@stead/core/model/keys.ts'

export interface ViewKey {
  readonly kind: LiveKind
  readonly id: string
}

const ofGuest = (id: string): ViewKey => ({ kind: 'guest', id })
const ofVolume = (id: string): ViewKey => ({ kind: 'volume', id })

/** `key`: of the record, in the store. The states before and after: a record may have left one guest for another. */
export function affectedViews(key: string, before: ClusterState, after: ClusterState): readonly ViewKey[] {
  const [folder = '', id = ''] = key.slice(PREFIX.length).split('/')
  switch (folder) {
    case 'guests':
    case 'grants':
      return [ofGuest(id), ...volumesOfGuest(id, before), ...volumesOfGuest(id, after)]
    case 'observations':
    case 'decisions':
      return [ofGuest(id)]
    case 'snapshots':
      return volumesOfGuest(id, after)
    case 'volumes': {
      const guests = [before, after].flatMap(({ volumes }) => volumes.get(id as VolumeId)?.value.guest ?? [])
      return [ofVolume(id), ...guests.map(ofGuest)]
    }
    case 'statuses':
      return onHost(id as HostId, after)
    case 'operations':
      return [{ kind: 'operation', id }]
    case 'hosts':
      return [{ kind: 'host', id }]
    default:
      return []
  }
}

function volumesOfGuest(guest: string, { guests }: ClusterState): ViewKey[] {
  return (guests.get(guest as GuestId)?.value.volumes ?? []).map(ofVolume)
}

/** What a host's state is said of: guests that are there, and what has a replica there. */
function onHost(host: HostId, { grants, volumes }: ClusterState): ViewKey[] {
  const found: ViewKey[] = []
  for (const [guest, { value }] of grants) if (value.host === host) found.push(ofGuest(guest))
  for (const [id, { value }] of volumes)
    if (value.replicas.some((replica) => replica.host === host)) found.push(ofVolume(id), ofGuest(value.guest))
  return found
}
