/**
 * How far a request has come, read off the cluster's state. Operations carry no progress of their own: so none is
 * lost with the agent that took the request, and none can disagree with the facts. The coordinator writes the
 * final word once, so that later changes do not rewrite history.
 */
import type { ClusterState } from '../model/cluster.ts'
import type { Operation } from '../model/operation.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import { inSync, isActive, volumesOf } from '../model/records.ts'
import { FAILURES_MAX } from './coordinator.ts'
import { place } from './placement.ts'

export function operationOutcome(operation: Operation, state: ClusterState): Operation {
  if (operation.state === 'succeeded' || operation.state === 'failed') return operation
  const [, id = ''] = operation.subject.split('/')
  switch (operation.kind) {
    case 'host.drain':
      return drainOutcome(operation, state, id as HostId)
    case 'cluster.failover':
      return failoverOutcome(operation, state, id as HostId)
    case 'vm.create':
      return createOutcome(operation, state, id as GuestId)
    case 'vm.start':
      return runOutcome(operation, state, id as GuestId)
    case 'vm.stop':
      return stopOutcome(operation, state, id as GuestId)
    case 'vm.delete':
      return state.guests.has(id as GuestId)
        ? running(operation, 0.5, 'stopping it and removing its disks')
        : done(operation, 'deleted')
    default:
      // The change was the transaction itself (`host.undrain`, `vm.set`).
      return done(operation, 'done')
  }
}

function createOutcome(operation: Operation, state: ClusterState, id: GuestId): Operation {
  const guest = state.guests.get(id)?.value
  if (!guest) return failed(operation, 'the guest was deleted meanwhile')
  if (guest.deleting) return running(operation, 0.9, 'it failed; what was made is removed')
  const volumes = volumesOf(state, guest) ?? []
  const ready = volumes.filter((volume) => volume.value.ready).length
  if (ready < guest.volumes.length)
    return running(operation, 0.1 + (0.5 * ready) / guest.volumes.length, 'making its disks')
  return guest.desired === 'running' ? runOutcome(operation, state, id) : done(operation, 'created')
}

function runOutcome(operation: Operation, state: ClusterState, id: GuestId): Operation {
  const guest = state.guests.get(id)?.value
  if (!guest || guest.deleting) return failed(operation, 'the guest was deleted meanwhile')
  if (guest.desired === 'stopped') return failed(operation, 'it was asked to stop meanwhile')
  const grant = state.grants.get(id)?.value
  const seen = state.observations.get(id)?.value
  if (isActive(grant) && seen?.epoch === grant.epoch) {
    if (seen.phase === 'running') return done(operation, `runs on ${grant.host}`)
    return running(operation, 0.8, `starting on ${grant.host}`)
  }
  if (isActive(grant)) return running(operation, 0.7, `granted to ${grant.host}`)
  if ((seen?.failures ?? 0) >= FAILURES_MAX) return failed(operation, seen?.reason || 'it failed too often')
  const decision = state.decisions.get(id)?.value
  if (decision?.action === 'wait') return { ...operation, state: 'waiting', progress: 0.6, message: decision.outcome }
  return running(operation, 0.6, 'choosing a host')
}

function stopOutcome(operation: Operation, state: ClusterState, id: GuestId): Operation {
  const guest = state.guests.get(id)?.value
  if (!guest) return done(operation, 'it no longer exists')
  if (guest.desired === 'running') return failed(operation, 'it was asked to start meanwhile')
  return isActive(state.grants.get(id)?.value) ? running(operation, 0.5, 'shutting down') : done(operation, 'stopped')
}

function drainOutcome(operation: Operation, state: ClusterState, host: HostId): Operation {
  if (!state.policies.get(host)?.value.maintenance) return failed(operation, 'the drain was undone meanwhile')
  const left = [...state.grants.values()].filter(({ value }) => isActive(value) && value.host === host)
  if (left.length === 0) return done(operation, 'no guest runs there')
  if (left.some(({ value }) => value.state === 'recalled'))
    return running(operation, 0.5, `${left.length} guests to move`)
  // The coordinator recalls a guest as soon as it has seen the drain, if there is a place for it.
  if (left.some(({ value }) => hasPlace(state, value.guest)))
    return running(operation, 0.3, `${left.length} guests to move`)
  const names = left.map(({ value }) => state.guests.get(value.guest)?.value.name ?? value.guest)
  return { ...operation, state: 'waiting', progress: 0.5, message: `no other host can take ${names.join(', ')}` }
}

function hasPlace(state: ClusterState, id: GuestId): boolean {
  const guest = state.guests.get(id)?.value
  const volumes = guest && volumesOf(state, guest)
  if (!volumes) return false
  const placement = place({
    state,
    guest,
    volumes: volumes.map((volume) => volume.value),
    usable: (host) => state.statuses.get(host)?.value.state === 'online',
    serving: (volume) => inSync(volume).map((replica) => replica.host),
    failedOn: new Set(),
    promisedBytes: () => 0,
  })
  return placement.chosen !== undefined
}

function failoverOutcome(operation: Operation, state: ClusterState, host: HostId): Operation {
  if (state.statuses.get(host)?.value.state !== 'lost') return running(operation, 0.3, `recording that ${host} is lost`)
  const left = [...state.grants.values()].filter(({ value }) => isActive(value) && value.host === host)
  const waiting = left.filter(({ value }) => state.decisions.get(value.guest)?.value.action === 'wait')
  if (left.length > waiting.length) return running(operation, 0.6, `${left.length - waiting.length} guests to move`)
  return done(
    operation,
    waiting.length > 0 ? `${waiting.length} guests wait for their data` : 'its guests run elsewhere',
  )
}

function running(operation: Operation, progress: number, message: string): Operation {
  return { ...operation, state: 'running', progress, message }
}

function done(operation: Operation, message: string): Operation {
  return { ...operation, state: 'succeeded', progress: 1, message }
}

function failed(operation: Operation, message: string): Operation {
  return { ...operation, state: 'failed', message, failure: { code: 'conflict', message } }
}
