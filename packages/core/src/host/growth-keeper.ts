/**
 * What of a running guest's memory, processors and balloon is to change, and what only its next start can give it. The
 * doing and the trying again are the `HardwareKeeper`'s.
 */
import { failure } from '../errors.ts'
import type { Grant } from '../model/grant.ts'
import { BALLOON_MIN_BYTES, isSameMemory } from '../model/growth.ts'
import type { Guest } from '../model/guest.ts'
import type { PendingChange } from '../model/hardware.ts'
import { KEYS } from '../model/keys.ts'
import type { HardwareFacts } from '../ports/guest-hardware.ts'
import type { GuestHost } from '../ports/guest-host.ts'
import type { Store } from '../ports/store.ts'
import { fail, ok, type Result } from '../result.ts'

export interface GrowthWork {
  readonly what: 'memory' | 'cpus' | 'balloon'
  readonly run: () => Promise<Result<void>>
  /** What to tell once it is done. */
  readonly done: string
}

/** As near to the wish as this run of the guest can come. */
export function sizeWork(guests: GuestHost, guest: Guest, facts: HardwareFacts): readonly GrowthWork[] {
  const { id, name } = guest
  const cpus = clamped(guest.cpus, facts.cpusMin, facts.cpusMax)
  const memoryBytes = clamped(guest.memoryBytes, facts.memoryMinBytes, facts.memoryMaxBytes)
  const cpusWork: GrowthWork = {
    what: 'cpus',
    run: () => guests.setCpus(id, cpus),
    done: `${name} has ${cpus} ${cpus === 1 ? 'processor' : 'processors'}`,
  }
  const memoryWork: GrowthWork = {
    what: 'memory',
    run: () => guests.setMemory(id, memoryBytes),
    done: `${name} has ${mebibytes(memoryBytes)} of memory`,
  }
  return [
    ...(cpus === facts.cpus ? [] : [cpusWork]),
    ...(isSameMemory(memoryBytes, facts.memoryBytes) ? [] : [memoryWork]),
  ]
}

/** After the memory has changed: the balloon is measured against all of it. */
export function balloonWork(guests: GuestHost, guest: Guest, facts: HardwareFacts): readonly GrowthWork[] {
  const { id, name, balloonBytes } = guest
  if (facts.balloonBytes === undefined) return []
  const leftBytes = Math.min(balloonBytes ?? facts.memoryBytes, facts.memoryBytes)
  if (isSameMemory(leftBytes, facts.balloonBytes)) return []
  const leave = leftBytes === facts.memoryBytes ? undefined : Math.max(leftBytes, BALLOON_MIN_BYTES)
  return [
    {
      what: 'balloon',
      run: () => guests.setBalloon(id, leave),
      done: leave === undefined ? `the balloon of ${name} is empty` : `the balloon leaves ${name} ${mebibytes(leave)}`,
    },
  ]
}

/** What no running guest, or not this one, is given. */
export function atNextStart(guest: Guest, facts: HardwareFacts): readonly PendingChange[] {
  const later = 'the change takes effect at its next start'
  const changes: PendingChange[] = []
  if (!isWithin(guest.memoryBytes, facts.memoryMinBytes, facts.memoryMaxBytes))
    changes.push({ what: 'memory', why: `it runs with ${mebibytes(facts.memoryBytes)}; ${later}` })
  if (!isWithin(guest.cpus, facts.cpusMin, facts.cpusMax))
    changes.push({ what: 'cpus', why: `it runs with ${facts.cpus}; ${later}` })
  if (guest.balloonBytes !== undefined && facts.balloonBytes === undefined)
    changes.push({ what: 'balloon', why: `it runs without one; ${later}` })
  const mayNest = guest.container?.nesting ?? false
  if (facts.container && facts.container.nesting !== mayNest)
    changes.push({ what: 'nesting', why: `it was started ${mayNest ? 'without' : 'with'} it; ${later}` })
  return changes
}

/** Whether the guest has given back all that it was asked for. */
export function hasGivenBack(guest: Guest, facts: HardwareFacts): boolean {
  if (!guest.holds || facts.cpus > guest.cpus) return false
  return facts.memoryBytes <= guest.memoryBytes || isSameMemory(facts.memoryBytes, guest.memoryBytes)
}

/** Its host need not count any more what the guest had; unless the records changed meanwhile, then it is looked at anew. */
export async function releaseHolds(store: Store, guest: Guest, epoch: number): Promise<Result<void>> {
  const [grant, entry] = await Promise.all([store.get(KEYS.grant(guest.id)), store.get(KEYS.guest(guest.id))])
  if (!grant.ok) return grant
  if (!entry.ok) return entry
  if (!grant.value || !entry.value) return ok()
  if ((JSON.parse(grant.value.value) as Grant).epoch !== epoch)
    return fail(failure('stale_epoch', 'The grant was given to another host'))
  const { holds: _given, ...rest } = JSON.parse(entry.value.value) as Guest
  if (rest.memoryBytes !== guest.memoryBytes || rest.cpus !== guest.cpus) return ok()
  const outcome = await store.transact({
    compares: [
      { key: grant.value.key, modRevision: grant.value.modRevision },
      { key: entry.value.key, modRevision: entry.value.modRevision },
    ],
    writes: [{ kind: 'put', key: entry.value.key, value: JSON.stringify(rest) }],
  })
  if (!outcome.ok) return outcome
  return outcome.value.committed ? ok() : fail(failure('changed_meanwhile', 'The records changed meanwhile'))
}

function isWithin(value: number, low: number, high: number): boolean {
  return value >= low && value <= high
}

function clamped(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value))
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`
}
