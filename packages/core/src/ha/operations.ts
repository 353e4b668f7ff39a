/**
 * How far a request has come, read off the cluster's state. Operations carry no progress of their own: so none is
 * lost with the agent that took the request, and none can disagree with the facts. The coordinator writes the
 * final word once, so that later changes do not rewrite history.
 */
import type { ClusterState } from '../model/cluster.ts'
import type { Operation } from '../model/operation.ts'
import type { GuestId, HostId, VolumeId } from '../model/ids.ts'
import { isActive, nativeRootOf, volumesOf } from '../model/records.ts'
import { failuresMax } from '../model/guest.ts'
import { snapshotOutcome } from './snapshot-outcome.ts'
import { placeGuests, type Placement } from '../planning/place.ts'
import { certificateOutcome } from './certificate-outcome.ts'
import { copyOutcome, importOutcome, makingProgress } from './making-outcome.ts'
import { hardwareProgress } from './hardware-operations.ts'
import { problemOf } from './planning-problem.ts'
import { homeOf } from './root-copies.ts'
import { moveProgress } from './storage-move.ts'

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
    case 'vm.restart':
      return restartOutcome(operation, state, id as GuestId)
    case 'vm.relocate':
      return moveOutcome(operation, state, id as GuestId)
    case 'vm.migrate':
      return migrationOutcome(operation, state, id as GuestId)
    case 'vm.cancel-migration':
      return state.grants.get(id as GuestId)?.value.handover
        ? running(operation, 0.5, 'calling it off')
        : done(operation, `runs on ${state.grants.get(id as GuestId)?.value.host ?? 'no host'}`)
    case 'host.shutdown':
      return shutdownOutcome(operation, state, id as HostId)
    case 'vm.snapshot-create':
    case 'vm.snapshot-rollback':
      return snapshotOutcome(operation, state)
    case 'volume.move': {
      const volume = state.volumes.get(id as VolumeId)?.value
      return volume
        ? { ...operation, ...moveProgress(state, volume) }
        : failed(operation, 'the volume was deleted meanwhile')
    }
    case 'image.import':
      return importOutcome(operation, state)
    case 'vm.template':
    case 'volume.capture':
      return copyOutcome(operation, state)
    case 'ct.dump':
      return dumpOutcome(operation, state, id)
    case 'certificate.order':
    case 'certificate.renew':
      return certificateOutcome(operation, state)
    case 'vm.delete':
      return state.guests.has(id as GuestId)
        ? running(operation, 0.5, 'stopping it and removing its disks')
        : done(operation, 'deleted')
    default: {
      const hardware = hardwareProgress(operation, state)
      if (hardware?.state === 'failed') return failed(operation, hardware.message)
      if (hardware) return { ...operation, ...hardware }
      // The change was the transaction itself (`host.undrain`, `vm.set`).
      return done(operation, 'done')
    }
  }
}

function dumpOutcome(operation: Operation, state: ClusterState, id: string): Operation {
  const backup = state.backups.get(id)?.value
  if (!backup) return failed(operation, 'the dump ended without a file')
  return backup.file ? done(operation, 'dumped') : running(operation, 0.3, `read and packed on ${backup.host}`)
}

function createOutcome(operation: Operation, state: ClusterState, id: GuestId): Operation {
  const guest = state.guests.get(id)?.value
  if (!guest) return failed(operation, 'the guest was deleted meanwhile')
  if (guest.deleting) return running(operation, 0.9, 'it failed; what was made is removed')
  const copy = state.copies.get(id)?.value
  if (copy) {
    const { progress, message } = makingProgress(copy)
    return running(operation, progress / 2, `the other's disks: ${message}`)
  }
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
  if ((seen?.failures ?? 0) >= failuresMax(guest)) return failed(operation, seen?.reason || 'it failed too often')
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
  if (left.length === 0) return restLeft(operation, state, host) ?? done(operation, 'no guest runs there')
  if (left.some(({ value }) => value.state === 'recalled'))
    return running(operation, 0.5, `${left.length} guests to move`)
  // The coordinator recalls a guest as soon as it has seen the drain, if there is a place for it.
  const placement = placed(state, new Set(left.map(({ value }) => value.guest)))
  const homeless = placement.unplaced
  const toMove = `${left.length} guests to move`
  if (homeless.length < left.length)
    return running(operation, 0.3, [toMove, ...left.flatMap(({ value }) => newsOfRoot(state, value.guest))].join('; '))
  const names = homeless.map((id) => `${nameOf(state, id)}${whyRootWaits(state, placement, id)}`)
  return { ...operation, state: 'waiting', progress: 0.5, message: `no other host can take ${names.join(', ')}` }
}

/** A native root goes where there is a pool for it, which is more than the others ask for. */
function whyRootWaits(state: ClusterState, placement: Placement, id: GuestId): string {
  const guest = state.guests.get(id)?.value
  const home = guest && homeOf(nativeRootOf(state, guest)?.value)
  if (home === undefined) return ''
  const others = placement.explain(id).filter(({ host }) => host !== home)
  const reasons = new Set(others.map(({ rejectedBecause }) => rejectedBecause))
  const [reason] = reasons
  if (reasons.size === 1 && others.length > 1) return ` (${reason})`
  return ` (${others.map(({ host, rejectedBecause }) => `${host}: ${rejectedBecause}`).join('; ')})`
}

function newsOfRoot(state: ClusterState, id: GuestId): string[] {
  const guest = state.guests.get(id)?.value
  const { move, failedMove } = (guest && nativeRootOf(state, guest)?.value) ?? {}
  if (move) return [`the root of ${nameOf(state, id)} is being sent to ${move.to}`]
  if (!failedMove) return []
  return [`the root of ${nameOf(state, id)} did not get to ${failedMove.to} (${failedMove.reason}), and is tried again`]
}

function nameOf(state: ClusterState, id: GuestId): string {
  return state.guests.get(id)?.value.name ?? id
}

/** Who is gone from a host may still need it, for as long as the rest of its memory, or of its native root, is there. */
function restLeft(operation: Operation, state: ClusterState, host: HostId): Operation | undefined {
  const left = [...state.grants.values()].filter(({ value }) => isActive(value) && value.memoryOn === host)
  if (left.length > 0) return running(operation, 0.9, `the rest of the memory of ${left.length} guests follows`)
  const roots = [...state.volumes.values()].filter(
    ({ value }) => value.form === 'subvolume' && value.move?.from === host,
  )
  const names = roots.map(({ value }) => nameOf(state, value.guest))
  return roots.length === 0 ? undefined : running(operation, 0.9, `the rest of the root of ${names.join(', ')} is sent`)
}

/** Stopped with its guests where they must go, as the policy says; then the machine may be switched off. */
function shutdownOutcome(operation: Operation, state: ClusterState, host: HostId): Operation {
  if (!state.policies.get(host)?.value.shutdown) return failed(operation, 'the shutdown was called off')
  const left = [...state.grants.values()].filter(({ value }) => isActive(value) && value.host === host)
  if (left.length === 0)
    return restLeft(operation, state, host) ?? done(operation, 'no guest runs there; it may be switched off')
  return running(operation, 0.5, `${left.length} guests to stop or to move`)
}

function restartOutcome(operation: Operation, state: ClusterState, id: GuestId): Operation {
  const grant = state.grants.get(id)?.value
  const isOld = isActive(grant) && state.guests.get(id)?.value.restartEpoch === grant.epoch
  return isOld ? running(operation, 0.3, `stopping on ${grant.host}`) : runOutcome(operation, state, id)
}

function moveOutcome(operation: Operation, state: ClusterState, id: GuestId): Operation {
  const guest = state.guests.get(id)?.value
  if (!guest || guest.deleting) return failed(operation, 'the guest was deleted meanwhile')
  if (guest.moveTo === undefined) return runOutcome(operation, state, id)
  const grant = state.grants.get(id)?.value
  if (isActive(grant) && grant.state === 'recalled') return running(operation, 0.4, `stopping on ${grant.host}`)
  const root = nativeRootOf(state, guest)?.value
  if (root?.move) return { ...operation, ...moveProgress(state, root) }
  if (withoutPlace(state, new Set([id])).length === 0) return running(operation, 0.2, `moving to ${guest.moveTo}`)
  return { ...operation, state: 'waiting', progress: 0.2, message: `${guest.moveTo} cannot take it now` }
}

/** A live move that has failed is over: nobody tries it again on a user's behalf. */
function migrationOutcome(operation: Operation, state: ClusterState, id: GuestId): Operation {
  const guest = state.guests.get(id)?.value
  if (!guest || guest.deleting) return failed(operation, 'the guest was deleted meanwhile')
  const grant = state.grants.get(id)?.value
  const { handover, failedHandover } = grant ?? {}
  if (failedHandover && !handover && failedHandover.at >= operation.startedAt)
    return failed(operation, `it goes on on ${grant?.host}: ${failedHandover.reason}`)
  if (grant?.memoryOn !== undefined && isActive(grant))
    return running(operation, 0.95, `it runs on ${grant.host}; the rest of its memory follows from ${grant.memoryOn}`)
  if (handover) {
    const seen = state.observations.get(id)?.value.migration
    const copied = seen && seen.totalBytes > 0 ? 1 - seen.remainingBytes / seen.totalBytes : 0
    return running(operation, 0.1 + 0.8 * Math.max(0, copied), `copying its memory to ${handover.to}`)
  }
  if (guest.moveTo === undefined) return runOutcome(operation, state, id)
  if (withoutPlace(state, new Set([id])).length === 0) return running(operation, 0.1, `moving to ${guest.moveTo}`)
  return { ...operation, state: 'waiting', progress: 0.1, message: `${guest.moveTo} cannot take it now` }
}

function withoutPlace(state: ClusterState, needing: ReadonlySet<GuestId>): readonly GuestId[] {
  return placed(state, needing).unplaced
}

function placed(state: ClusterState, needing: ReadonlySet<GuestId>): Placement {
  const isUp = (host: HostId) => state.statuses.get(host)?.value.state === 'online'
  return placeGuests(problemOf({ state, isUp, needing }))
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
