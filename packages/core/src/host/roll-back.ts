/**
 * Makes the disks of a stopped guest what a snapshot shows. First the volumes' records say so, and the guest cannot be
 * started; then each host does it; then the records name those that have done it as current. Every step can be repeated
 * by whoever coordinates next. Once begun it is not undone: some replicas may already be the older state.
 */
import type { Versioned } from '../model/cluster.ts'
import type { Guest } from '../model/guest.ts'
import type { HostId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import { replicaOn, volumesOf } from '../model/records.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { Replica, Volume } from '../model/volume.ts'
import type { Write } from '../ports/store.ts'
import type { HostContext } from './host-context.ts'
import { nextSyncPoint } from './resync.ts'
import { replaceSnapshot, snapshotsOf } from './snapshot-records.ts'

const RETRY_MS = 1_000
/** Hosts that are up and do not answer are tried so often before the guest goes on without their replicas. */
const TRIES = 3

export async function rollBack(
  context: HostContext,
  seen: Versioned<Snapshot>,
  guest: Versioned<Guest>,
): Promise<void> {
  const { mirror, clock, log } = context
  const volumes = volumesOf(mirror.state, guest.value)
  const targets = volumes?.filter(({ value }) => seen.value.volumes.some(({ volume }) => volume === value.id))
  if (!targets || !(await begin(context, seen, targets))) return clock.sleep(RETRY_MS / 10)
  const done = new Map<Volume['id'], readonly HostId[]>()
  for (const { value: volume } of targets) {
    const hosts = await onHolders(context, seen.value, volume)
    if (hosts.length === 0) {
      log.warn('no host that holds the snapshot answers; the roll-back waits', { volume: volume.id })
      return clock.sleep(RETRY_MS)
    }
    done.set(volume.id, hosts)
  }
  await finish(context, seen, done)
}

/** True once the records of all volumes, as this host's copy has them, name the snapshot. */
async function begin(
  { store, mirror }: HostContext,
  seen: Versioned<Snapshot>,
  volumes: readonly Versioned<Volume>[],
): Promise<boolean> {
  if (volumes.every(({ value }) => value.rollBackTo === seen.value.id)) return true
  const { guest } = seen.value
  await store.transact({
    compares: [
      { key: KEYS.snapshot(guest, seen.value.name), modRevision: seen.revision },
      { key: KEYS.grant(guest), modRevision: mirror.state.grants.get(guest)?.revision ?? 0n },
      ...volumes.map(({ value, revision }) => ({ key: KEYS.volume(value.id), modRevision: revision })),
    ],
    writes: volumes.map(({ value }) => put({ ...value, ready: false, rollBackTo: seen.value.id })),
  })
  // The next look, by the own copy, goes on.
  return false
}

/** The hosts that have rolled their replica back. */
async function onHolders(context: HostContext, snapshot: Snapshot, volume: Volume): Promise<readonly HostId[]> {
  const { mirror, clock, volumesOn, log } = context
  const holders = snapshot.volumes.find((each) => each.volume === volume.id)?.hosts ?? []
  let left = holders.flatMap((host) => replicaOn(volume, host) ?? [])
  const done: HostId[] = []
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const answers = await Promise.all(
      left.map(async (replica) => ({
        replica,
        answer: await volumesOn(replica.host).rollBackReplica(volume.id, replica.pool, snapshot.id),
      })),
    )
    for (const { replica, answer } of answers) {
      if (answer.ok) done.push(replica.host)
      else log.warn('a replica was not rolled back', { host: replica.host, volume: volume.id, cause: answer.error })
    }
    left = answers.filter(({ answer }) => !answer.ok).map(({ replica }) => replica)
    const isWorthAnother = left.some(({ host }) => mirror.state.statuses.get(host)?.value.state === 'online')
    if (!isWorthAnother) break
    await clock.sleep(RETRY_MS)
  }
  return done
}

async function finish(
  context: HostContext,
  seen: Versioned<Snapshot>,
  done: ReadonlyMap<Volume['id'], readonly HostId[]>,
): Promise<void> {
  const { mirror, events, clock } = context
  const { state } = mirror
  const { value: snapshot } = seen
  const guest = state.guests.get(snapshot.guest)
  const grant = state.grants.get(snapshot.guest)
  if (!guest) return
  const compares = [
    { key: KEYS.guest(snapshot.guest), modRevision: guest.revision },
    { key: KEYS.grant(snapshot.guest), modRevision: grant?.revision ?? 0n },
  ]
  const writes: Write[] = []
  for (const [id, hosts] of done) {
    const volume = state.volumes.get(id)
    if (!volume) return
    compares.push({ key: KEYS.volume(id), modRevision: volume.revision })
    const { rollBackTo: _target, ...rest } = volume.value
    const replicas = volume.value.replicas.map((replica) =>
      rolledBack(replica, hosts.includes(replica.host), grant?.value.epoch ?? 0, clock.wallMs()),
    )
    writes.push(put({ ...rest, ready: true, replicas, syncPoint: nextSyncPoint(context) }))
  }
  const newer = snapshotsOf(state, snapshot.guest).filter(
    ({ value }) => value.id !== snapshot.id && value.createdAt > snapshot.createdAt,
  )
  for (const { value } of newer) writes.push({ kind: 'delete', key: KEYS.snapshot(value.guest, value.name) })
  const { startAfter, withoutMemory, ...rest } = snapshot
  const { resumeFrom: _before, ...booting } = guest.value
  const next: Guest = snapshot.memory && !withoutMemory ? { ...booting, resumeFrom: snapshot.name } : booting
  if (startAfter && !next.deleting) writes.push(...startWrites(next))
  else if (next.resumeFrom !== guest.value.resumeFrom)
    writes.push({ kind: 'put', key: KEYS.guest(next.id), value: JSON.stringify(next) })
  const { name } = guest.value
  const stale = [...done].some(([id, hosts]) => hosts.length < (state.volumes.get(id)?.value.replicas.length ?? 0))
  const said = events.writesFor([
    {
      kind: 'snapshot.rolled-back',
      subject: `guest/${name}`,
      message: `${name} is what its snapshot ${snapshot.name} shows${stale ? '; replicas that do not hold it are made equal' : ''}`,
      details: { snapshot: snapshot.name, newerDeleted: newer.length },
    },
  ])
  const recorded = await replaceSnapshot(context, seen, { ...rest, state: 'ready' }, compares, [...writes, ...said])
  if (!recorded) await clock.sleep(RETRY_MS / 10)
}

function rolledBack({ host, pool }: Replica, isDone: boolean, sinceEpoch: number, since: number): Replica {
  if (isDone) return { host, pool, state: 'in-sync' }
  const reason = 'the others were rolled back to a snapshot that it does not hold'
  return { host, pool, state: 'stale', stale: { sinceEpoch, since, reason, cause: 'unknown' } }
}

/** As a user's start would write it. */
function startWrites(guest: Guest): readonly Write[] {
  const ha = guest.ha === 'ignored' ? 'ignored' : 'started'
  const next: Guest = { ...guest, forceStop: false, desired: 'running', ha }
  return [
    { kind: 'put', key: KEYS.guest(guest.id), value: JSON.stringify(next) },
    { kind: 'delete', key: KEYS.observation(guest.id) },
  ]
}

function put(volume: Volume): Write {
  return { kind: 'put', key: KEYS.volume(volume.id), value: JSON.stringify(volume) }
}
