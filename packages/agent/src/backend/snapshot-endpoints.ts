/** Snapshots of guests. */
import type { SnapshotsView, SnapshotView } from '@stead/api/endpoints/snapshots.ts'
import { failure } from '@stead/core/errors.ts'
import { snapshotsOf } from '@stead/core/host/snapshot-records.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { Snapshot } from '@stead/core/model/snapshot.ts'
import type { HeldSnapshots } from '@stead/core/ports/replica-snapshots.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Desk } from './desk.ts'
import { createSnapshot, deleteSnapshot, findSnapshot, rollBackTo, setSchedule } from './snapshot-changes.ts'

type Answers = Pick<
  ApiBackend,
  'snapshot.list' | 'snapshot.create' | 'snapshot.delete' | 'snapshot.rollback' | 'snapshot.schedule'
>

/** What one host's pools hold. */
export type AskHeldSnapshots = (host: HostId) => Promise<Result<readonly HeldSnapshots[]>>

export function snapshotEndpoints(desk: Desk): Answers {
  const { random, clock } = desk.context
  return {
    'snapshot.list': async ({ params }) => {
      const guest = desk.findGuest(params.guest)
      return guest.ok ? ok(await listView(desk, guest.value.value)) : guest
    },
    'snapshot.create': async ({ params, body }, request) => {
      const operation = await desk.changeGuest(params.guest, request, (guest) =>
        createSnapshot(desk.state, guest, { ...body, uuid: random.uuid(), nowMs: clock.wallMs() }),
      )
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'snapshot.delete': async ({ params }, request) => {
      const operation = await desk.changeGuest(params.guest, request, (guest) => {
        const snapshot = findSnapshot(desk.state, guest.value, params.snapshot)
        return snapshot.ok ? deleteSnapshot(guest, snapshot.value) : snapshot
      })
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'snapshot.rollback': async ({ params, body }, request) => {
      const operation = await desk.changeGuest(params.guest, request, (guest) => {
        const snapshot = findSnapshot(desk.state, guest.value, params.snapshot)
        return snapshot.ok ? rollBackTo(desk.state, guest, snapshot.value, body, desk.isUp) : snapshot
      })
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'snapshot.schedule': async ({ params, body }, request) => {
      const operation = await desk.changeGuest(params.guest, request, (guest) => setSchedule(guest, body.schedule))
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
  }
}

async function listView(desk: Desk, guest: Guest): Promise<SnapshotsView> {
  const { state, context } = desk
  const hosts = new Set<HostId>()
  for (const id of guest.volumes) for (const { host } of state.volumes.get(id)?.value.replicas ?? []) hosts.add(host)
  const answers = await Promise.all(
    [...hosts].map(async (host) => ({
      host,
      held: desk.isUp(host) ? await context.heldSnapshots(host) : fail(failure('host_unreachable', `${host} is down`)),
    })),
  )
  const held = answers.flatMap(({ host, held: found }) =>
    found.ok
      ? found.value.filter(({ volume }) => guest.volumes.includes(volume)).map((each) => ({ host, ...each }))
      : [],
  )
  const schedule = guest.snapshotSchedule
  return {
    guest: guest.name,
    items: snapshotsOf(state, guest.id)
      .map(({ value }) => snapshotView(value, held))
      .toSorted((a, b) => a.createdAt.localeCompare(b.createdAt)),
    schedule: schedule ? { ...schedule } : null,
    mergeDebt: held
      .filter(({ debtBytes }) => debtBytes > 0)
      .map(({ host, volume, debtBytes, debtSince, layers }) => ({
        host,
        volume,
        bytes: debtBytes,
        since: debtSince === undefined ? null : new Date(debtSince).toISOString(),
        layers,
      })),
    notAsked: answers.filter(({ held: found }) => !found.ok).map(({ host }) => host),
  }
}

function snapshotView(snapshot: Snapshot, held: readonly HeldSnapshots[]): SnapshotView {
  const changed = held.flatMap(({ snapshots }) =>
    snapshots.flatMap((each) =>
      each.snapshot === snapshot.id && each.changedBytes !== undefined ? [each.changedBytes] : [],
    ),
  )
  return {
    name: snapshot.name,
    id: snapshot.id,
    createdAt: new Date(snapshot.createdAt).toISOString(),
    state: snapshot.state === 'ready' || snapshot.state === 'rolling-back' ? snapshot.state : 'being-made',
    consistent: snapshot.consistent,
    memory: snapshot.memory ? { bytes: snapshot.memory.bytes, hosts: [...snapshot.memory.hosts] } : null,
    scheduled: snapshot.scheduled,
    hosts: [...new Set(snapshot.volumes.flatMap(({ hosts }) => hosts))],
    changedBytes: changed.length === 0 ? null : Math.max(...changed),
  }
}
