/**
 * Whether a running guest can go to another host without a break. What speaks against it is said in words: before a
 * move is begun, in `stead vm move-targets`, and when a drain waits.
 */
import type { ClusterState } from '../model/cluster.ts'
import type { Grant } from '../model/grant.ts'
import type { Guest } from '../model/guest.ts'
import type { Host } from '../model/host.ts'
import type { HardwareObservation } from '../model/hardware.ts'
import type { HostId } from '../model/ids.ts'
import { whyNotMigratable } from '../model/platform.ts'

/** QEMU 7.2 killed guests under a long pre-copy in 3 of 5 runs, 10.0 in none. */
const QEMU_MAJOR_MIN = 10

/** What a trial dump and restore on its host has shown; where that works, containers still move by a restart in this version. */
function whyContainersRestart(host: Host | undefined): string {
  const reason = host?.containers?.liveMove?.reason
  return reason ? `a container cannot be taken along live from ${host.id}: ${reason}` : 'containers move by a restart'
}

/** After a try that failed: the wait before the next, ms. The last one is for all further ones. */
const RETRY_AFTER_MS = [5_000, 15_000, 60_000, 300_000] as const

/** Empty when nothing about the guest itself speaks against it now. */
export function objectionToLiveMove(state: ClusterState, guest: Guest, grant: Grant): string {
  const seen = state.observations.get(guest.id)?.value
  if (seen?.epoch !== grant.epoch || seen.phase !== 'running') return 'it does not run just now'
  if (grant.memoryOn !== undefined) return `the rest of its memory is still on ${grant.memoryOn}`
  if (guest.kind === 'ct') return whyContainersRestart(state.hosts.get(grant.host)?.value)
  const held = whyNotMigratable(guest.platform ?? {})
  if (held !== '') return held
  const host = state.hosts.get(grant.host)?.value
  if (!host) return `${grant.host} is not known`
  return whyNotMigrating(host) || whyNotEmulated(host, guest, seen.hardware)
}

/** An emulating QEMU loses writes to all memory but the first: docs/internals/hardware.md. Hardware notices them. */
function whyNotEmulated({ accelerator }: Host, { platform = {} }: Guest, hardware: HardwareObservation | undefined) {
  if (accelerator !== 'tcg') return ''
  if (hardware?.addedMemoryBytes)
    return 'an emulated guest cannot take along memory that it was given while it ran: take that back first, or restart it'
  if ((platform.numaNodes ?? 1) > 1) return 'an emulated guest with several memory nodes cannot move while it runs'
  return ''
}

/** Empty when the hosts' hypervisors can give guests to each other in this direction. */
export function objectionBetween(from: Host, to: Host, grant: Pick<Grant, 'processorLevel'> | undefined): string {
  const objection = whyNotMigrating(to)
  if (objection !== '') return objection
  if (from.accelerator !== to.accelerator)
    return `${from.id} runs guests by ${from.accelerator}, ${to.id} by ${to.accelerator}`
  if (compareVersions(to.qemuVersion ?? '', from.qemuVersion ?? '') < 0)
    return `${to.id} has an older QEMU (${to.qemuVersion}) than ${from.id} (${from.qemuVersion})`
  return objectionOfProcessors(from, to, grant)
}

/** A guest must find everywhere what it has found when it booted. */
function objectionOfProcessors(from: Host, to: Host, grant: Pick<Grant, 'processorLevel'> | undefined): string {
  if (!from.processor || !to.processor) return ''
  const level = grant?.processorLevel
  if (level !== undefined)
    return to.processor.level >= level ? '' : `the processor of ${to.id} lacks what x86-64-v${level} asks for`
  return from.processor.model === to.processor.model
    ? ''
    : `it sees the very processor of ${from.id} (${from.processor.model}); ${to.id} has another (${to.processor.model})`
}

export function whyNotMigrating({ id, qemuVersion }: Host): string {
  if (qemuVersion === undefined) return `${id} does not say which QEMU it has`
  if (Number.parseInt(qemuVersion, 10) < QEMU_MAJOR_MIN)
    return `${id} has QEMU ${qemuVersion}, which loses guests in a live migration; ${QEMU_MAJOR_MIN} is needed`
  return ''
}

/** Between hosts, by number: `10.0.2` comes before `10.1.0`. Negative when `a` is older. */
export function compareVersions(a: string, b: string): number {
  const numbers = (version: string) => version.split('.').map((part) => Number.parseInt(part, 10) || 0)
  const [left, right] = [numbers(a), numbers(b)]
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** How long the cluster waits before it tries to move this guest live again, ms; 0: it may now. */
export function pauseBeforeNextTry(grant: Grant, wallMs: number): number {
  const failed = grant.failedHandover
  if (!failed) return 0
  const pauseMs = RETRY_AFTER_MS[Math.min(failed.times, RETRY_AFTER_MS.length) - 1] ?? 0
  // A wall clock that was set back must not make it wait for longer than it would have.
  const passedMs = Math.max(0, wallMs - failed.at)
  return Math.max(0, pauseMs - passedMs)
}

/** Hosts to which the guest cannot go live from where it is, with the reason. */
export function unfitForLiveMove(state: ClusterState, from: HostId, grant: Grant | undefined): Record<HostId, string> {
  const source = state.hosts.get(from)?.value
  if (!source) return {}
  const reasons: Record<HostId, string> = {}
  for (const { value: host } of state.hosts.values()) {
    if (host.id === from || host.role === 'witness') continue
    const objection = objectionBetween(source, host, grant)
    if (objection !== '') reasons[host.id] = objection
  }
  return reasons
}
