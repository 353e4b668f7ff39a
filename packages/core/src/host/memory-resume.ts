/**
 * Starts a guest whose disks were rolled back to a snapshot that has its memory too. Nothing of the guest runs before
 * its record says that the memory is spent: after its first write the image would never fit the disks again.
 */
import { failure } from '../errors.ts'
import { objectionBetween } from '../ha/live-move.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { Guest } from '../model/guest.ts'
import { grownLike, machineDifferences } from '../model/guest-machine.ts'
import type { HostId } from '../model/ids.ts'
import type { SnapshotMemory } from '../model/snapshot.ts'
import type { GuestLaunch, RunningGuest } from '../ports/guest-host.ts'
import type { ImagePlace } from '../ports/guest-memory.ts'
import { fail, ok, type Result } from '../result.ts'
import type { HostContext } from './host-context.ts'
import type { RunRecords } from './run-records.ts'

/**
 * `launch`: as the guest would boot. A failure leaves nothing behind, and the memory unspent; `ran`: except that it is
 * spent, and the guest may have gone on for a moment.
 */
export async function resumeGuest(
  context: HostContext,
  guest: Guest,
  launch: GuestLaunch,
  records: RunRecords,
): Promise<Result<RunningGuest> & { readonly ran?: boolean }> {
  const { memory: port, guests, mirror } = context
  const snapshot = mirror.state.snapshots.get(`${guest.id}/${guest.resumeFrom}`)?.value
  if (!snapshot?.memory) return fail(withoutIt(guest, 'the snapshot with its memory is gone'))
  const { memory } = snapshot
  // The machine is the one that it had, as for a live move; this host's own are the files, the taps and the disks.
  const { processorLevel: _level, ...own } = grownLike(launch, snapshot.memory.launch)
  const { processorLevel } = memory.launch
  const machine = memory.launch.machine
  const next: GuestLaunch = {
    ...memory.launch,
    ...own,
    ...(processorLevel === undefined ? {} : { processorLevel }),
    ...(machine === undefined ? {} : { machine }),
  }
  const objection = objectionTo(context, memory, next)
  if (objection !== undefined) return fail(withoutIt(guest, objection))
  const restored = await port.restore(next, { ...memory, snapshot: snapshot.id }, placesOf(context, memory))
  if (!restored.ok) return fail(withoutIt(guest, restored.error.message, restored.error))
  const spent = await records.spendMemory()
  const resumed =
    spent.kind === 'recorded' ? await guests.resume(guest.id) : fail(failure('stale_epoch', 'it was granted elsewhere'))
  if (resumed.ok) return ok({ ...restored.value, status: 'running' })
  const killed = await guests.kill(guest.id)
  if (!killed.ok) throw new Error(killed.error.message, { cause: killed.error })
  return { ...resumed, ran: spent.kind === 'recorded' }
}

function objectionTo({ self, mirror }: HostContext, memory: SnapshotMemory, launch: GuestLaunch): string | undefined {
  const differences = machineDifferences(memory.launch, launch)
  if (differences.length > 0) return `its hardware has changed since (${differences.join(', ')})`
  return objectionOfHost(mirror.state, memory, self)
}

/** As to a live move from the host on which it was taken, as that was then. */
export function objectionOfHost({ hosts }: ClusterState, memory: SnapshotMemory, to: HostId): string | undefined {
  const [from, own] = [hosts.get(memory.takenOn)?.value, hosts.get(to)?.value]
  if (!from || !own) return undefined
  const { qemuVersion = from.qemuVersion, launch } = memory
  const then = { ...from, ...(qemuVersion === undefined ? {} : { qemuVersion }), accelerator: launch.accelerator }
  const { processorLevel } = launch
  return objectionBetween(then, own, processorLevel === undefined ? undefined : { processorLevel }) || undefined
}

/** The own one first: it need not come over the network. */
function placesOf({ self, mirror }: HostContext, memory: SnapshotMemory): readonly ImagePlace[] {
  const replicas = mirror.state.volumes.get(memory.volume)?.value.replicas ?? []
  return replicas
    .filter(({ host }) => memory.hosts.includes(host))
    .map(({ host, pool }) => ({ host, pool, volume: memory.volume }))
    .toSorted((a, b) => Number(b.host === self) - Number(a.host === self))
}

function withoutIt({ name, resumeFrom }: Guest, reason: string, cause?: unknown) {
  const command = `stead vm snapshot rollback ${name} ${resumeFrom} --without-memory`
  return failure('conflict', `its memory cannot be brought back: ${reason}; \`${command}\` boots it from its disks`, {
    cause,
    hint: `\`${command}\` boots it from its disks`,
  })
}
