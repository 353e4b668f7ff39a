/** How far a change of a guest's hardware has come, read off the records like every other operation's progress. */
import type { ClusterState } from '../model/cluster.ts'
import type { Guest } from '../model/guest.ts'
import type { HardwareObservation } from '../model/hardware.ts'
import type { GuestId, VolumeId } from '../model/ids.ts'
import type { Operation } from '../model/operation.ts'
import { isActive, isResized } from '../model/records.ts'
import { isLeaving } from '../host/volume-attachment.ts'

export interface Progress {
  readonly state: 'running' | 'waiting' | 'succeeded' | 'failed'
  readonly progress: number
  readonly message: string
}

/** Undefined: an operation of another kind. */
export function hardwareProgress({ kind, subject, startedAt }: Operation, state: ClusterState): Progress | undefined {
  const [, id = ''] = subject.split('/')
  const volume = state.volumes.get(id as VolumeId)?.value
  const guest = state.guests.get(volume?.guest ?? (id as GuestId))?.value
  const seen = guest && observedOf(state, guest, startedAt)
  switch (kind) {
    case 'vm.disk-add': {
      if (!volume || !guest) return failed('the disk or its guest was deleted meanwhile')
      if (volume.attachment === 'joining') return running(0.3, 'making its replicas')
      if (!seen || seen.volumes.some((each) => each.id === volume.id)) return succeeded('added')
      return waiting(seen, `disk ${volume.name}`, 'plugging it in')
    }
    case 'vm.disk-remove': {
      if (!volume || !guest || !isLeaving(volume)) return succeeded('taken away')
      return waiting(seen, `disk ${volume.name}`, 'asking the guest for it')
    }
    case 'volume.resize': {
      if (!volume) return failed('the volume was deleted meanwhile')
      if (volume.growTo !== undefined) return running(0.3, 'making room on its replicas')
      if (!seen || volume.attachment === 'detached') return succeeded('enlarged')
      if (seen.volumes.some((each) => each.id === volume.id && !isResized(volume, each.sizeBytes)))
        return succeeded('enlarged')
      return waiting(seen, `disk ${volume.name}`, 'enlarging it under the running guest')
    }
    case 'vm.nic-add':
    case 'vm.nic-remove': {
      if (!guest) return failed('the guest was deleted meanwhile')
      const wanted = guest.nics.map((nic) => nic.mac)
      const present = seen?.nics.map((nic) => nic.mac) ?? wanted
      if (wanted.length === present.length && wanted.every((mac) => present.includes(mac))) return succeeded('done')
      return waiting(seen, 'nic', kind === 'vm.nic-add' ? 'plugging it in' : 'asking the guest for it')
    }
    default:
      return undefined
  }
}

/** What its host sees of a guest that runs; undefined when it does not, and nobody has to do anything. */
function observedOf(state: ClusterState, guest: Guest, startedAt: number): HardwareObservation | undefined {
  const grant = state.grants.get(guest.id)?.value
  if (!isActive(grant)) return undefined
  const seen = state.observations.get(guest.id)?.value
  if (seen?.epoch !== grant.epoch) return NOTHING_YET
  // Nothing is said of a guest that is as it was started; one that was started later was started so.
  return seen.hardware ?? (seen.phase === 'running' && seen.since > startedAt ? undefined : NOTHING_YET)
}

const NOTHING_YET: HardwareObservation = { volumes: [], nics: [], memoryBytes: 0, cpus: 0, pending: [] }

function waiting(seen: HardwareObservation | undefined, what: string, doing: string): Progress {
  const pending = seen?.pending.find((each) => each.what === what || each.what.startsWith(`${what} `))
  return pending ? { state: 'waiting', progress: 0.6, message: pending.why } : running(0.6, doing)
}

const running = (progress: number, message: string): Progress => ({ state: 'running', progress, message })
const succeeded = (message: string): Progress => ({ state: 'succeeded', progress: 1, message })
const failed = (message: string): Progress => ({ state: 'failed', progress: 1, message })
