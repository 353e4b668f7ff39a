/** How far a request about a snapshot has come; see `operations.ts`. Its subject is `guest/<id>/<snapshot's name>`. */
import type { ClusterState } from '../model/cluster.ts'
import type { GuestId } from '../model/ids.ts'
import type { Operation } from '../model/operation.ts'
import { isActive } from '../model/records.ts'

export function snapshotOutcome(operation: Operation, state: ClusterState): Operation {
  const [, guest = '', name = ''] = operation.subject.split('/')
  const snapshot = state.snapshots.get(`${guest}/${name}`)?.value
  const running = (progress: number, message: string): Operation => ({ ...operation, progress, message })
  switch (snapshot?.state) {
    case 'ready':
      return { ...operation, state: 'succeeded', progress: 1, message: 'done' }
    case 'wanted':
      return running(0.1, 'waiting for its turn')
    case 'cutting':
      return running(0.5, `being made by ${snapshot.cutter?.host ?? 'its host'}`)
    case 'rolling-back': {
      const isStopping = isActive(state.grants.get(guest as GuestId)?.value)
      return running(isStopping ? 0.2 : 0.6, isStopping ? 'stopping the guest' : 'rolling back its replicas')
    }
    default: {
      const message = 'the snapshot was deleted meanwhile'
      return { ...operation, state: 'failed', message, failure: { code: 'conflict', message } }
    }
  }
}
