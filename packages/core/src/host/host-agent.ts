/**
 * What an agent does, apart from how it touches the world: the same in production, in the lab and in the simulator.
 */
import type { Arrivals } from './arrivals.ts'
import type { HostContext } from './host-context.ts'
import { CoordinatorLoop } from './coordinator-loop.ts'
import { GuestRuns } from './guest-runs.ts'
import { HeldSnapshotKeeper } from './held-snapshot-keeper.ts'
import { LostMakings } from './lost-makings.ts'
import { Provisioner } from './provisioner.ts'
import { RootCopier } from './root-copier.ts'
import { sweepRootCopies } from './root-copy-sweep.ts'
import { RootCopyWatch } from './root-copy-watch.ts'
import { SnapshotCoordination } from './snapshot-coordination.ts'
import { StorageKeeper } from './storage-keeper.ts'

export interface HostAgentOptions {
  readonly context: HostContext
  readonly arrivals: Arrivals
  readonly role: 'compute' | 'witness'
  readonly detectionMs: number
}

/** Runs until aborted. Guests, exports and daemons stay: stopping the agent is not stopping the host. */
export async function runHostAgent(
  { context, arrivals, role, detectionMs }: HostAgentOptions,
  signal: AbortSignal,
): Promise<void> {
  const { self, store, mirror, fence, events, clock, log, keepDecision } = context
  const following = mirror.follow(store, signal)
  const coordinator = new CoordinatorLoop({
    self,
    store,
    mirror,
    fence,
    events,
    clock,
    log,
    detectionMs,
    ...(keepDecision ? { keepDecision } : {}),
  })
  const loops = [
    following,
    coordinator.run(signal),
    new Provisioner(context, () => coordinator.coordinating).run(signal),
    new SnapshotCoordination(context, () => coordinator.coordinating).run(signal),
    new LostMakings(context, () => coordinator.coordinating).run(signal),
    new RootCopyWatch(context, () => coordinator.coordinating).run(signal),
  ]
  if (role === 'compute') {
    await untilLoaded(context, signal)
    loops.push(new GuestRuns(context, arrivals).run(signal), new StorageKeeper(context).run(signal))
    loops.push(new HeldSnapshotKeeper(context).run(signal), new RootCopier(context).run(signal))
    loops.push(sweepRootCopies(context, signal))
  }
  await Promise.all(loops)
}

async function untilLoaded({ mirror, clock }: HostContext, signal: AbortSignal): Promise<void> {
  while (!mirror.loaded && !signal.aborted) await clock.sleep(20, signal)
}
