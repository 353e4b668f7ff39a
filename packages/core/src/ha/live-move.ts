/**
 * Whether a running guest can go to another host without a break. What speaks against it is said in words: before a
 * move is begun, in `stead vm move-targets`, and when a drain waits.
 */
import type { ClusterState } from '../model/cluster.ts'
import type { Grant } from '../model/grant.ts'
import type { Guest, GuestKind } from '../model/guest.ts'
import type { Host } from '../model/host.ts'
import type { HardwareObservation } from '../model/hardware.ts'
import type { HostId } from '../model/ids.ts'
import { whyNotMigratable } from '../model/platform.ts'

/** The processor that the guest has been given. */
type HandedOver = Pick<Grant, 'processorLevel'>

/** QEMU 7.2 killed guests under a long pre-copy in 3 of 5 runs, 10.0 in none. */
const QEMU_MAJOR_MIN = 10

/** After a try that failed: the wait before the next, ms. The last one is for all further ones. */
const RETRY_AFTER_MS = [5_000, 15_000, 60_000, 300_000] as const

/** Empty when nothing about the guest itself speaks against it now. */
export function objectionToLiveMove(state: ClusterState, guest: Guest, grant: Grant): string {
  const seen = state.observations.get(guest.id)?.value
  if (seen?.epoch !== grant.epoch || seen.phase !== 'running') return 'it does not run just now'
  if (grant.memoryOn !== undefined) return `the rest of its memory is still on ${grant.memoryOn}`
  const host = state.hosts.get(grant.host)?.value
  if (!host) return `${grant.host} is not known`
  if (guest.kind === 'ct') return whyNotTakenAlong(state, guest) || whyNotMigrating(host, guest)
  const held = whyNotMigratable(guest.platform ?? {})
  if (held !== '') return held
  return whyNotMigrating(host, guest) || whyNotEmulated(host, guest, seen.hardware)
}

/** An emulating QEMU loses writes to all memory but the first: docs/internals/hardware.md. Hardware notices them. */
function whyNotEmulated({ accelerator }: Host, { platform = {} }: Guest, hardware: HardwareObservation | undefined) {
  if (accelerator !== 'tcg') return ''
  if (hardware?.addedMemoryBytes)
    return 'an emulated guest cannot take along memory that it was given while it ran: take that back first, or restart it'
  if ((platform.numaNodes ?? 1) > 1) return 'an emulated guest with several memory nodes cannot move while it runs'
  return ''
}

/** Of a container's settings: what the trial of its host has not had. */
function whyNotTakenAlong(state: ClusterState, { container, volumes }: Guest): string {
  if (volumes.some((id) => state.volumes.get(id)?.value.form === 'subvolume'))
    return 'its root is a subvolume of its host, which is sent while it runs, and what it writes last while it stands still'
  if (container?.privileged) return 'it is privileged, and its devices would not be kept from it while it is restored'
  if (container?.nesting) return 'it may have containers of its own (nesting), which CRIU cannot take along'
  return volumes.length > 1 ? 'it has further disks, which cannot be taken along yet' : ''
}

/** Whether hosts can give guests of this kind to each other in this direction: empty when they can. */
export function objectionBetween(from: Host, to: Host, grant: HandedOver | undefined, kind: GuestKind = 'vm'): string {
  const objection = whyNotMigrating(to, { kind })
  if (objection !== '') return objection
  if (kind === 'ct') return objectionOfCriu(from, to) || objectionOfProcessors(from, to, undefined)
  if (from.accelerator !== to.accelerator)
    return `${from.id} runs guests by ${from.accelerator}, ${to.id} by ${to.accelerator}`
  if (compareVersions(to.qemuVersion ?? '', from.qemuVersion ?? '') < 0)
    return `${to.id} has an older QEMU (${to.qemuVersion}) than ${from.id} (${from.qemuVersion})`
  return objectionOfProcessors(from, to, grant)
}

function objectionOfCriu(from: Host, to: Host): string {
  const [given, taken] = [from.containers?.liveMove?.criu ?? '', to.containers?.liveMove?.criu ?? '']
  return compareVersions(taken, given) < 0 ? `${to.id} has an older CRIU (${taken}) than ${from.id} (${given})` : ''
}

/** A guest must find everywhere what it has found when it booted. */
function objectionOfProcessors(from: Host, to: Host, grant: HandedOver | undefined): string {
  if (!from.processor || !to.processor) return ''
  const level = grant?.processorLevel
  if (level !== undefined)
    return to.processor.level >= level ? '' : `the processor of ${to.id} lacks what x86-64-v${level} asks for`
  return from.processor.model === to.processor.model
    ? ''
    : `it sees the very processor of ${from.id} (${from.processor.model}); ${to.id} has another (${to.processor.model})`
}

/** What has shown itself on the host alone. */
export function whyNotMigrating({ id, qemuVersion, containers }: Host, { kind }: Pick<Guest, 'kind'>): string {
  if (kind === 'ct') {
    const trial = containers?.liveMove
    if (!trial) return `${id} has not tried yet whether it can take a container along live`
    return trial.possible ? '' : `a container cannot be taken along live on ${id}: ${trial.reason}`
  }
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
  return pauseAfter(grant.failedHandover, wallMs)
}

/** What is left of the wait after a try that failed, ms. */
export function pauseAfter(
  failed: { readonly at: number; readonly times: number } | undefined,
  wallMs: number,
): number {
  if (!failed) return 0
  const pauseMs = RETRY_AFTER_MS[Math.min(failed.times, RETRY_AFTER_MS.length) - 1] ?? 0
  // A wall clock that was set back must not make it wait for longer than it would have.
  const passedMs = Math.max(0, wallMs - failed.at)
  return Math.max(0, pauseMs - passedMs)
}

/** Hosts to which the guest cannot go live from where it is, with the reason. */
export function unfitForLiveMove(
  state: ClusterState,
  from: HostId,
  grant: Grant | undefined,
  kind: GuestKind,
): Record<HostId, string> {
  const source = state.hosts.get(from)?.value
  if (!source) return {}
  const reasons: Record<HostId, string> = {}
  for (const { value: host } of state.hosts.values()) {
    if (host.id === from || host.role === 'witness') continue
    const objection = objectionBetween(source, host, grant, kind)
    if (objection !== '') reasons[host.id] = objection
  }
  return reasons
}
