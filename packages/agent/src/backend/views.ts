/** From the cluster's records to what the API shows. Pure; one place that says what each state means. */
import type { GuestView, HostView, OperationView, VolumeView } from '@stead/api/views.ts'
import type { Verdict } from '@stead/core/ha/coordinator.ts'
import { operationOutcome } from '@stead/core/ha/operations.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import type { RootFacts } from '@stead/core/model/container-template.ts'
import type { Decision } from '@stead/core/model/decision.ts'
import type { Grant } from '@stead/core/model/grant.ts'
import { failuresMax, haPolicyOf, type Guest, type GuestObservation, type GuestState } from '@stead/core/model/guest.ts'
import type { Host, HostPolicy } from '@stead/core/model/host.ts'
import type { GuestId, HostId, VolumeId } from '@stead/core/model/ids.ts'
import { projectOf } from '@stead/core/model/project.ts'
import { whyNotMigratable } from '@stead/core/model/platform.ts'
import type { Operation } from '@stead/core/model/operation.ts'
import { moveProgress } from '@stead/core/ha/storage-move.ts'
import { grantedMemoryBytes, isActive, nativeRootOf, promisedPoolBytes, volumesOf } from '@stead/core/model/records.ts'
import type { Image, Volume } from '@stead/core/model/volume.ts'
import { containerView, nicViews } from './container-views.ts'
import { lifecycleView } from './lifecycle-views.ts'
import { latestOf } from './revised-records.ts'

/** What one agent can add to the records: whom it hears, and what replicas lack. */
export interface ViewContext {
  readonly state: ClusterState
  readonly verdicts: ReadonlyMap<HostId, Verdict>
  readonly lagBytes?: ReadonlyMap<VolumeId, number>
}

type Protection = GuestView['protection']
const SEVERITY = ['protected', 'degraded', 'unprotected', 'lost'] as const

export function guestView(context: ViewContext, { value: guest, revision }: Versioned<Guest>): GuestView {
  const { state } = context
  const grant = state.grants.get(guest.id)?.value
  const { state: shown, reason } = guestState(context, guest)
  const volumes = volumesOf(state, guest) ?? []
  return {
    name: guest.name,
    id: guest.id,
    kind: guest.kind,
    project: projectOf(guest),
    state: shown,
    reason,
    host: isActive(grant) ? grant.host : null,
    preferredHost: guest.preferredHost ?? null,
    epoch: grant?.epoch ?? 0,
    ha: guest.ha,
    ...haPolicyOf(guest),
    moveTo: guest.moveTo ?? null,
    migration: migrationView(state, guest),
    protection: worst(volumes.map((volume) => volumeProtection(context, volume.value))),
    memoryBytes: guest.memoryBytes,
    cpus: guest.cpus,
    ...sizeView(state, guest),
    boot: guest.boot,
    container: containerView(guest),
    platform: platformView(guest),
    nics: nicViews(guest),
    pending: isActive(grant) ? [...(state.observations.get(guest.id)?.value.hardware?.pending ?? [])] : [],
    agent: { execute: guest.agent?.execute ?? false },
    addresses: null,
    display: guest.display ?? 'none',
    media: mediaView(guest),
    template: guest.template !== undefined,
    volumes: volumes.map(({ value: volume }) => ({
      id: volume.id,
      name: volume.name,
      form: volume.form ?? 'image',
      sizeBytes: volume.sizeBytes,
      ...(volume.limits ? { limits: volume.limits } : {}),
      replicas: replicaViews(context, volume),
      copies: copyViews(volume),
    })),
    rootCopy: guest.rootCopy ? { ...guest.rootCopy, to: guest.rootCopy.to ?? null } : null,
    ...lifecycleView(state, guest),
    createdAt: new Date(guest.createdAt).toISOString(),
    revision: String(revision),
  }
}

/** What the record allows, and what the running guest really has where its host has told. */
function sizeView(
  state: ClusterState,
  guest: Guest,
): Pick<GuestView, 'maximum' | 'balloonBytes' | 'now' | 'memoryUse'> {
  const seen = isActive(state.grants.get(guest.id)?.value)
    ? state.observations.get(guest.id)?.value.hardware
    : undefined
  const { memoryMaxBytes = null, cpusMax = null } = guest
  return {
    maximum: { memoryBytes: memoryMaxBytes, cpus: cpusMax },
    balloonBytes: guest.balloonBytes ?? null,
    now: seen ? { memoryBytes: seen.memoryBytes, cpus: seen.cpus, balloonBytes: seen.balloonBytes ?? null } : null,
    memoryUse: null,
  }
}

function mediaView({ media = {} }: Guest): GuestView['media'] {
  const { cdrom, bootOrder = ['disk', 'cdrom'], cloudInit } = media
  return {
    cdrom: cdrom ? { image: cdrom.medium?.name ?? null } : null,
    bootOrder: [...bootOrder],
    cloudInit: cloudInit !== undefined,
  }
}

function migrationView(state: ClusterState, guest: Guest): GuestView['migration'] {
  const handover = state.grants.get(guest.id)?.value.handover
  if (!handover) return null
  const seen = state.observations.get(guest.id)?.value.migration
  const since = new Date(handover.since).toISOString()
  if (seen?.to === handover.to) return { ...seen, since }
  return { to: handover.to, since, ...NOTHING_MOVED }
}

const NOTHING_MOVED = {
  totalBytes: 0,
  transferredBytes: 0,
  remainingBytes: 0,
  dirtyBytesPerSecond: 0,
  bandwidthBytesPerSecond: 0,
  throttlePercent: 0,
  expectedDowntimeMs: 0,
}

function platformView({ platform = {} }: Guest): GuestView['platform'] {
  const { firmware, tpm, watchdog, hugePages, dedicatedCpus, numaNodes, devices } = platform
  return {
    firmware: firmware ? (firmware.secureBoot ? 'uefi-secure' : 'uefi') : 'bios',
    tpm: tpm ?? false,
    watchdog: watchdog ?? null,
    hugePages: hugePages ?? null,
    dedicatedCpus: dedicatedCpus ?? false,
    numaNodes: numaNodes ?? 1,
    devices: { ...devices },
    whyNotMigratable: whyNotMigratable(platform),
  }
}

export function guestState(
  { state }: ViewContext,
  guest: Guest,
): { readonly state: GuestState; readonly reason: string } {
  if (guest.deleting) return { state: 'deleting', reason: '' }
  const volumes = volumesOf(state, guest)
  if (!volumes?.every((volume) => volume.value.ready)) return { state: 'creating', reason: 'its disks are being made' }
  const grant = state.grants.get(guest.id)?.value
  const seen = state.observations.get(guest.id)?.value
  const decision = state.decisions.get(guest.id)?.value
  if (guest.template) return { state: 'stopped', reason: 'a template: clone it' }
  if (isActive(grant)) {
    const status = state.statuses.get(grant.host)?.value
    if (status?.state === 'lost') {
      if (guest.ha === 'ignored')
        return { state: 'unknown', reason: `${grant.host} is lost, and HA ignores this guest` }
      if (decision?.action === 'wait') return { state: 'waiting', reason: decision.outcome }
      return { state: 'unknown', reason: `${grant.host} is lost; it is about to be recovered` }
    }
    if (seen?.epoch !== grant.epoch || seen.phase === 'starting') return { state: 'starting', reason: '' }
    if (status && seen.bootId !== undefined && seen.bootId !== status.bootId)
      return { state: 'unknown', reason: `${grant.host} has been booted since; it is about to be recovered` }
    if (seen.phase === 'running')
      return {
        state: 'running',
        reason: onItsWay(grant) ?? whyNotReady(guest, seen),
      }
    if (seen.phase === 'paused') return { state: 'paused', reason: seen.reason }
    return { state: 'stopping', reason: grant.state === 'recalled' ? grant.reason : '' }
  }
  const root = nativeRootOf(state, guest)?.value
  const onItsWayTo = root?.move ? moveProgress(state, root).message : ''
  if (guest.desired === 'stopped') return { state: 'stopped', reason: onItsWayTo }
  if (onItsWayTo !== '' && decision?.action !== 'wait') return { state: 'starting', reason: onItsWayTo }
  if ((seen?.failures ?? 0) >= failuresMax(guest))
    return { state: 'error', reason: `it failed ${seen?.failures} times in a row: ${seen?.reason}` }
  if (decision?.action === 'wait') return { state: 'waiting', reason: decision.outcome }
  return { state: 'starting', reason: seen?.failures ? `tried again after: ${seen.reason}` : '' }
}

/** Empty for a guest that is ready, or has no probe. */
function onItsWay({ handover, memoryOn }: Grant): string | undefined {
  if (handover) return `it moves to ${handover.to}`
  return memoryOn && `the rest of its memory follows from ${memoryOn}`
}

function whyNotReady({ lifecycle }: Guest, { readiness }: GuestObservation): string {
  return lifecycle?.probe && readiness?.ready === false ? `not ready: ${readiness.reason}` : ''
}

export function volumeView(context: ViewContext, { value: volume, revision }: Versioned<Volume>): VolumeView {
  return {
    id: volume.id,
    name: volume.name,
    guest: context.state.guests.get(volume.guest)?.value.name ?? '',
    guestId: volume.guest,
    attachment: volume.attachment ?? 'attached',
    form: volume.form ?? 'image',
    sizeBytes: volume.sizeBytes,
    ...(volume.growTo === undefined ? {} : { growTo: volume.growTo }),
    ready: volume.ready,
    protection: volumeProtection(context, volume),
    replicas: replicaViews(context, volume),
    copies: copyViews(volume),
    move: volume.move
      ? {
          to: volume.move.to ?? null,
          from: volume.move.from ?? null,
          since: new Date(volume.move.since).toISOString(),
          message: moveProgress(context.state, volume).message,
        }
      : null,
    revision: String(revision),
  }
}

function replicaViews(context: ViewContext, volume: Volume): GuestView['volumes'][number]['replicas'] {
  const grant = context.state.grants.get(volume.guest)?.value
  const isRunning = grant !== undefined && grant.state !== 'released'
  return volume.replicas.map((replica) => ({
    host: replica.host,
    pool: replica.pool,
    state: replica.state,
    lagBytes: replica.state === 'in-sync' ? 0 : (context.lagBytes?.get(volume.id) ?? null),
    since: replica.state === 'in-sync' || !replica.stale ? null : new Date(replica.stale.since).toISOString(),
    reason: replica.state === 'in-sync' ? '' : (replica.stale?.reason ?? ''),
    ...(isRunning && replica.redirected ? { redirected: replica.redirected } : {}),
  }))
}

function copyViews({ copies = [] }: Volume): VolumeView['copies'] {
  return copies.map(({ host, pool, newest, late, trouble }) => ({
    ...{ host, pool, at: newest ? new Date(newest.at).toISOString() : null },
    ...{ late: late === true, trouble: trouble?.message ?? '' },
  }))
}

function ofCopies({ copies = [] }: Volume): string {
  const whole = copies.flatMap(({ host, newest }) =>
    newest ? [`${host} has a copy of ${new Date(newest.at).toISOString()}`] : [],
  )
  return whole.map((text) => `; ${text}`).join('')
}

function volumeProtection({ state }: ViewContext, volume: Volume): Protection {
  const current = volume.replicas.filter((replica) => replica.state === 'in-sync')
  const reachable = current.filter((replica) => state.statuses.get(replica.host)?.value.state !== 'lost')
  if (reachable.length === 0)
    return {
      level: 'lost',
      reason: `no current copy can be reached; one is on ${current.map((replica) => replica.host).join(', ')}${ofCopies(volume)}`,
    }
  const { length } = volume.replicas.filter(({ incoming }) => incoming === undefined)
  if (length === 1)
    return { level: 'unprotected', reason: `one copy only, on ${reachable[0]?.host}${ofCopies(volume)}` }
  const missing = volume.replicas.filter((replica) => replica.incoming === undefined && !reachable.includes(replica))
  if (missing.length === 0) return { level: 'protected', reason: '' }
  return {
    level: 'degraded',
    reason: missing
      .map((replica) => `the copy on ${replica.host} is ${replica.state === 'in-sync' ? 'unreachable' : replica.state}`)
      .join('; '),
  }
}

export function worst(protections: readonly Protection[]): Protection {
  let found: Protection = { level: 'protected', reason: '' }
  for (const one of protections) if (SEVERITY.indexOf(one.level) > SEVERITY.indexOf(found.level)) found = one
  return found
}

export function hostView({ state, verdicts }: ViewContext, { value: host, revision }: Versioned<Host>): HostView {
  const status = state.statuses.get(host.id)?.value
  const policy = state.policies.get(host.id)
  const { maintenance, shutdown, faultDomains = {} } = policy?.value ?? { maintenance: false }
  const granted = [...state.grants.values()].filter(({ value: grant }) => isActive(grant) && grant.host === host.id)
  const { shown, reason } = hostState(status, verdicts.get(host.id), { maintenance, shutdown }, granted.length)
  return {
    name: host.id,
    state: shown,
    reason,
    since: status ? new Date(status.since).toISOString() : null,
    role: host.role,
    coordinator: state.coordinator?.value.host === host.id,
    maintenance,
    shutdown: shutdown ?? null,
    faultDomains: { ...faultDomains },
    addresses: { ...host.addresses },
    cpuCount: host.cpuCount,
    memoryBytes: host.memoryBytes,
    memoryGrantedBytes: grantedMemoryBytes(state, host.id),
    accelerator: host.accelerator,
    containers: host.containers ?? null,
    devices: (host.devices ?? []).map((device) => ({ ...device })),
    hugePages: { ...host.hugePages },
    pools: host.pools.map((pool) => ({
      name: pool.name,
      capacityBytes: pool.capacityBytes,
      allocatedBytes: promisedPoolBytes(state, host.id, pool.name),
      subvolumes: pool.subvolumes ?? false,
    })),
    guests: granted.flatMap(({ value }) => state.guests.get(value.guest)?.value.name ?? []),
    powerSwitch: host.powerSwitch === true,
    bootId: host.bootId,
    revision: String(latestOf([revision, policy?.revision ?? 0n])),
  }
}

function hostState(
  status: { readonly state: 'online' | 'lost'; readonly reason: string } | undefined,
  verdict: Verdict | undefined,
  { maintenance, shutdown }: { readonly maintenance: boolean; readonly shutdown: HostPolicy['shutdown'] | undefined },
  guests: number,
): { readonly shown: HostView['state']; readonly reason: string } {
  if (!status) return { shown: 'unknown', reason: 'it has not been seen yet' }
  if (status.state === 'lost') return { shown: 'lost', reason: status.reason }
  if (verdict === 'suspected') return { shown: 'suspected', reason: 'its heartbeats stay away' }
  if (verdict === 'silent-here') return { shown: 'suspected', reason: 'the host that answers you does not hear it' }
  if (maintenance)
    return {
      shown: guests > 0 ? 'draining' : 'maintenance',
      reason: guests > 0 ? `${guests} guests are still there` : '',
    }
  if (shutdown) {
    const what = shutdown === 'reboot' ? 'it is to be rebooted' : 'it is to be switched off'
    return { shown: 'online', reason: guests > 0 ? `${what}; ${guests} guests are still there` : what }
  }
  return { shown: 'online', reason: '' }
}

/** As the contract's types want it: nothing in it is read-only. */
export function cloneDecision({ moved, ...decision }: Decision) {
  return {
    ...decision,
    facts: [...decision.facts],
    candidates: decision.candidates.map((candidate) => ({ ...candidate, merits: [...candidate.merits] })),
    ...(moved ? { moved: moved.map((one) => ({ ...one })) } : {}),
  }
}

export function operationView({ state }: ViewContext, operation: Operation): OperationView {
  const outcome = operationOutcome(operation, state)
  return { ...outcome, subjectName: nameOfSubject(state, outcome.subject) }
}

/** Permissions have no name, and whose they are is not told to everybody who sees operations. */
function nameOfSubject(state: ClusterState, subject: string): string {
  const [noun, id = ''] = subject.split('/')
  const nameOfGuest = (guest: string) => state.guests.get(guest as GuestId)?.value.name
  if (noun === 'guest') return nameOfGuest(id) ?? id
  if (noun === 'permission') return id.slice(0, 8)
  const volume = noun === 'volume' ? state.volumes.get(id as VolumeId)?.value : undefined
  return volume ? [nameOfGuest(volume.guest) ?? [], volume.name].flat().join('/') : id
}

export function imageView({ value: { moreDisks, root, ...image }, revision }: Versioned<Image>) {
  return {
    ...image,
    revision: String(revision),
    ...(moreDisks ? { moreDisks: moreDisks.map((disk) => ({ ...disk })) } : {}),
    ...(root ? { root: rootFactsView(root) } : {}),
  }
}

export function rootFactsView({ process, ...facts }: RootFacts) {
  return { ...facts, ...(process ? { process: { ...process, environment: [...process.environment] } } : {}) }
}
