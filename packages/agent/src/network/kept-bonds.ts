/** The bonds that this host was set up with, made again at each start of its agent; and the watch over all that it has. */
import { existsSync } from 'node:fs'
import { bondChanges, type Bond, type BondState } from '@stead/core/network/bond-plan.ts'
import type { EventWriter } from '@stead/core/host/event-writer.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Result } from '@stead/core/result.ts'
import { bondStates, makeBond, planOn, type NetworkShell } from './bond-maker.ts'

/** A boot finds nobody answering yet, and waits for nobody then. */
const PROOF_MS = 30_000
const WATCH_MS = 5_000
/** There as soon as the host has its first bond. */
const KERNEL_BONDS = '/proc/net/bonding'

/** From what the system has set up by now. What cannot be made is told, and the host goes on with what it has. */
export async function remakeBonds(
  bonds: readonly Bond[],
  shell: NetworkShell,
  clock: Pick<Clock, 'monotonicMs' | 'sleep'>,
  log: Log,
): Promise<void> {
  for (const bond of bonds) {
    const plan = await planOn(shell, bond)
    if (!plan.ok) {
      log.error('the ports of this host cannot be looked at', { bond: bond.name, cause: plan.error })
      continue
    }
    if (plan.value.orders.length === 0) continue
    const made = await makeBond(shell, plan.value, { peers: [], withinMs: PROOF_MS, clock })
    if (made.ok) log.info('a bond is made again', { bond: bond.name, ports: bond.ports })
    else log.error('a bond could not be made again', { bond: bond.name, cause: made.error })
  }
}

export interface BondWatchOptions {
  readonly host: string
  readonly events: Pick<EventWriter, 'tell'>
  readonly clock: Pick<Clock, 'sleep'>
  readonly log: Log
  readonly hasBonds?: () => boolean
  readonly look: () => Promise<Result<readonly BondState[]>>
}

/** A port without a link is told once, and the last one that is back. */
export async function watchBonds(options: BondWatchOptions, signal: AbortSignal): Promise<void> {
  const { host, events, clock, log, look, hasBonds = () => existsSync(KERNEL_BONDS) } = options
  let before: readonly BondState[] = []
  for (; !signal.aborted; await clock.sleep(WATCH_MS, signal)) {
    if (!hasBonds()) continue
    const now = await look()
    if (!now.ok) {
      log.warn('the bonds of this host cannot be looked at', { cause: now.error })
      continue
    }
    for (const { kind, bond, message } of bondChanges(host, before, now.value))
      events.tell({ kind, subject: `host/${host}`, message, details: { bond } })
    before = now.value
  }
}

export function ownBonds(shell: NetworkShell): BondWatchOptions['look'] {
  return () => bondStates(shell)
}
