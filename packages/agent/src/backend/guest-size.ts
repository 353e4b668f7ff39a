/** What a user may say of a guest's memory and processors, and when they change. Pure. */
import { failure, type Failure } from '@stead/core/errors.ts'
import { moveTargets } from '@stead/core/ha/move-request.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { promisedTo, withSize } from '@stead/core/model/growth.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { isActive } from '@stead/core/model/records.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

export interface SizeSettings {
  readonly memoryBytes?: number | undefined
  readonly cpus?: number | undefined
  readonly memoryMaxBytes?: number | undefined
  readonly cpusMax?: number | undefined
  /** null: the balloon is emptied. */
  readonly balloonBytes?: number | null | undefined
}

const SIZE_SETTINGS = ['memoryBytes', 'cpus', 'memoryMaxBytes', 'cpusMax', 'balloonBytes'] as const

export function hasSize(settings: SizeSettings): boolean {
  return SIZE_SETTINGS.some((name) => settings[name] !== undefined)
}

/** The guest as it is to be. `runs`: or is about to. */
export function resized(guest: Guest, settings: SizeSettings, runs: boolean): Result<Guest> {
  const { memoryBytes = guest.memoryBytes, cpus = guest.cpus, balloonBytes } = settings
  const sized = withSize(guest, { memoryBytes, cpus }, runs)
  const { balloonBytes: _before, ...rest } = sized
  const maxima = {
    ...(settings.memoryMaxBytes === undefined ? {} : { memoryMaxBytes: settings.memoryMaxBytes }),
    ...(settings.cpusMax === undefined ? {} : { cpusMax: settings.cpusMax }),
  }
  const next: Guest = {
    ...(balloonBytes === undefined ? sized : rest),
    ...maxima,
    ...(typeof balloonBytes === 'number' ? { balloonBytes } : {}),
  }
  const problem = sizeProblem(next, settings) ?? (runs ? givingBackProblem(guest, next) : undefined)
  return problem ? fail(problem) : ok(next)
}

/** What cannot be, at any time. */
export function sizeProblem(guest: Guest, asked: SizeSettings): Failure | undefined {
  const { platform = {}, memoryBytes, cpus } = guest
  if (guest.kind === 'ct' && (asked.memoryMaxBytes ?? asked.cpusMax ?? asked.balloonBytes) !== undefined)
    return failure('bad_request', `${guest.name} is a container: its memory and processors change at any time`)
  if (asked.memoryMaxBytes !== undefined && asked.memoryMaxBytes < memoryBytes)
    return failure('bad_request', `The maximum of ${guest.name}'s memory is less than its memory`)
  if (asked.cpusMax !== undefined && asked.cpusMax < cpus)
    return failure('bad_request', `The maximum of ${guest.name}'s processors is less than it has`)
  if (asked.memoryMaxBytes !== undefined && platform.hugePages)
    return failure('conflict', `The memory of ${guest.name} stands on huge pages, which are set aside at its start`, {
      hint: 'Leave out the maximum; its memory changes with its next start',
    })
  if (asked.cpusMax !== undefined && asked.cpusMax > cpus && platform.dedicatedCpus)
    return failure('conflict', `The processors of ${guest.name} are bound to its host's at its start`, {
      hint: 'Leave out the maximum; they change with its next start',
    })
  if (typeof asked.balloonBytes !== 'number') return undefined
  if (guest.memoryMaxBytes === undefined)
    return failure('conflict', `${guest.name} has no balloon`, {
      hint: `\`stead vm set ${guest.name} --max-memory SIZE\` gives it one from its next start on`,
    })
  if (asked.balloonBytes > memoryBytes)
    return failure('bad_request', `The balloon cannot leave ${guest.name} more than it has`)
  return undefined
}

/** A guest that runs is counted with what it has until it has given it back; without a maximum it never would. */
function givingBackProblem(guest: Guest, next: Guest): Failure | undefined {
  // A container's are limits of its host's kernel, which change at once.
  if (guest.kind === 'ct') return undefined
  const canGiveMemory = next.memoryBytes >= guest.memoryBytes || guest.memoryMaxBytes !== undefined
  const canGiveCpus = next.cpus >= guest.cpus || guest.cpusMax !== undefined
  if (canGiveMemory && canGiveCpus) return undefined
  return failure('conflict', `${guest.name} must be stopped before it is given less memory or fewer processors`, {
    hint: `\`stead vm stop ${guest.name}\` first`,
  })
}

/** Of a guest that runs and asks for more: whether its host has that too. */
export function lackOfRoom(state: ClusterState, next: Guest, isUp: (host: HostId) => boolean): Failure | undefined {
  const known = state.guests.get(next.id)?.value
  const grant = state.grants.get(next.id)?.value
  const [before, after] = [known && promisedTo(known, true), promisedTo(next, true)]
  const asksForMore = !before || after.memoryBytes > before.memoryBytes || after.cpus > before.cpus
  if (!isActive(grant) || !asksForMore) return undefined
  const reason = moveTargets(state, next, isUp).find(({ host }) => host === grant.host)?.reason
  if (!reason) return undefined
  return failure('no_capacity', `${grant.host}, on which ${next.name} runs, cannot give it that: ${reason}`, {
    hint: `Ask for less, or move it first; \`stead vm move-targets ${next.name}\` says where to`,
  })
}
