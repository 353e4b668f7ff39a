/** Turns an action into the transaction that makes it true, with everything it relies on as a compare. */
import type { Action, EventDraft } from '../ha/plan.ts'
import type { ClusterState } from '../model/cluster.ts'
import { KEYS } from '../model/keys.ts'
import { removalsOf } from '../model/records.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { withoutGuest } from '../model/rule.ts'
import type { Compare, Transaction, Write } from '../ports/store.ts'
import { copyOn } from '../ha/root-copies.ts'
import { snapshotTurn } from '../ha/snapshot-quota.ts'
import { unreachable } from '../assert.ts'

export interface ActionContext {
  readonly state: ClusterState
  /** Revision of the coordinator's claim: a deposed coordinator commits nothing. */
  readonly claimRevision: bigint
  readonly eventWrites: (drafts: readonly EventDraft[]) => readonly Write[]
}

export function transactionFor(action: Action, events: readonly EventDraft[], context: ActionContext): Transaction {
  const { state } = context
  const compares: Compare[] = [{ key: KEYS.coordinator, modRevision: context.claimRevision }]
  const writes: Write[] = [...context.eventWrites(events)]
  const put = (key: string, value: unknown) => writes.push({ kind: 'put', key, value: JSON.stringify(value) })
  const unchanged = (key: string, revision: bigint | undefined) => compares.push({ key, modRevision: revision ?? 0n })

  switch (action.kind) {
    case 'host-status':
      unchanged(KEYS.status(action.host), state.statuses.get(action.host)?.revision)
      put(KEYS.status(action.host), action.status)
      if (action.policyAfter) {
        unchanged(KEYS.policy(action.host), state.policies.get(action.host)?.revision)
        put(KEYS.policy(action.host), action.policyAfter)
      }
      break
    case 'grant': {
      const { guest, guestAfter, grant, volumes, decision } = action
      unchanged(KEYS.guest(guest.id), state.guests.get(guest.id)?.revision)
      unchanged(KEYS.grant(guest.id), state.grants.get(guest.id)?.revision)
      for (const volume of volumes) {
        unchanged(KEYS.volume(volume.id), state.volumes.get(volume.id)?.revision)
        put(KEYS.volume(volume.id), volume)
      }
      for (const volume of action.aside ?? []) {
        unchanged(KEYS.volume(volume.id), undefined)
        put(KEYS.volume(volume.id), volume)
      }
      if (action.aside) writes.push({ kind: 'delete-prefix', prefix: KEYS.snapshot(guest.id, '') })
      if (guestAfter) put(KEYS.guest(guest.id), guestAfter)
      put(KEYS.grant(guest.id), grant)
      put(KEYS.decision(guest.id), decision)
      break
    }
    case 'hand-over':
      // What the guest is now decides whether it may move live; it must not have changed since.
      unchanged(KEYS.guest(action.guest.id), state.guests.get(action.guest.id)?.revision)
      unchanged(KEYS.grant(action.guest.id), state.grants.get(action.guest.id)?.revision)
      put(KEYS.grant(action.guest.id), action.grant)
      break
    case 'send-root': {
      const { guest, guestAfter, root } = action
      const copy = copyOn(root, root.move?.to)
      unchanged(KEYS.guest(guest.id), state.guests.get(guest.id)?.revision)
      unchanged(KEYS.grant(guest.id), state.grants.get(guest.id)?.revision)
      unchanged(KEYS.volume(root.id), state.volumes.get(root.id)?.revision)
      // Nothing of it is still being removed where it is to be.
      if (copy) unchanged(KEYS.removal(copy.host, root.id, copy.pool), undefined)
      put(KEYS.guest(guest.id), guestAfter)
      put(KEYS.volume(root.id), root)
      break
    }
    case 'recall':
    case 'release-lost':
      for (const volume of action.kind === 'release-lost' ? action.volumes : []) {
        unchanged(KEYS.volume(volume.id), state.volumes.get(volume.id)?.revision)
        put(KEYS.volume(volume.id), volume)
      }
      unchanged(KEYS.grant(action.guest.id), state.grants.get(action.guest.id)?.revision)
      put(KEYS.grant(action.guest.id), action.grant)
      break
    case 'explain':
      unchanged(KEYS.grant(action.guest), state.grants.get(action.guest)?.revision)
      // It tells of what the last one tells, the moves for room among it. That one may not have been seen yet: a write that
      // the store was slow to confirm.
      unchanged(KEYS.decision(action.guest), state.decisions.get(action.guest)?.revision)
      put(KEYS.decision(action.guest), action.decision)
      break
    case 'erase':
      unchanged(KEYS.guest(action.guest.id), state.guests.get(action.guest.id)?.revision)
      unchanged(KEYS.grant(action.guest.id), state.grants.get(action.guest.id)?.revision)
      writes.push(...eraseWrites(action))
      writes.push({ kind: 'delete-prefix', prefix: KEYS.snapshot(action.guest.id, '') })
      // No new rule can name it: whoever sets one compares the guest's record, which says that it is being deleted.
      for (const { value: rule, revision } of state.rules.values()) {
        if (!rule.guests.includes(action.guest.id)) continue
        unchanged(KEYS.rule(rule.id), revision)
        const left = withoutGuest(rule, action.guest.id)
        if (left) put(KEYS.rule(rule.id), left)
        else writes.push({ kind: 'delete', key: KEYS.rule(rule.id) })
      }
      break
    case 'schedule':
      unchanged(KEYS.guest(action.guest.id), state.guests.get(action.guest.id)?.revision)
      unchanged(KEYS.grant(action.guest.id), state.grants.get(action.guest.id)?.revision)
      put(KEYS.guest(action.guest.id), action.guestAfter)
      if (action.grantAfter) put(KEYS.grant(action.guest.id), action.grantAfter)
      if (action.snapshots) {
        const { wanted, surplus } = action.snapshots
        const turn = snapshotTurn(state, action.guest)
        compares.push(...turn.compares)
        writes.push(...turn.writes)
        const keyOf = ({ guest, name }: Snapshot) => KEYS.snapshot(guest, name)
        unchanged(keyOf(wanted), undefined)
        put(keyOf(wanted), wanted)
        for (const snapshot of surplus) {
          unchanged(keyOf(snapshot), state.snapshots.get(`${snapshot.guest}/${snapshot.name}`)?.revision)
          writes.push({ kind: 'delete', key: keyOf(snapshot) })
        }
      }
      if (action.forgetFailures) writes.push({ kind: 'delete', key: KEYS.observation(action.guest.id) })
      break
    case 'finish-operation':
      unchanged(KEYS.operation(action.operation.id), state.operations.get(action.operation.id)?.revision)
      put(KEYS.operation(action.operation.id), action.operation)
      break
    default:
      unreachable(action)
  }
  return { compares, writes }
}

function eraseWrites({ guest, volumes }: Extract<Action, { kind: 'erase' }>): Write[] {
  const removals = volumes.flatMap((volume) =>
    removalsOf(volume).map((removal): Write => ({
      kind: 'put',
      key: KEYS.removal(removal.host, removal.volume, removal.pool),
      value: JSON.stringify(removal),
    })),
  )
  const keys = [
    KEYS.guest(guest.id),
    KEYS.guestName(guest.name),
    KEYS.grant(guest.id),
    KEYS.observation(guest.id),
    KEYS.decision(guest.id),
    ...volumes.map((volume) => KEYS.volume(volume.id)),
    ...(guest.container ? [KEYS.containerIds(guest.container.idBase)] : []),
  ]
  return [...removals, ...keys.map((key): Write => ({ kind: 'delete', key }))]
}
