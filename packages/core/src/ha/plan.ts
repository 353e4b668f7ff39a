/** What the coordinator wants done, as data: nothing here has happened yet. */
import type { Decision } from '../model/decision.ts'
import type { EventKind } from '../model/event.ts'
import type { Grant } from '../model/grant.ts'
import type { Guest } from '../model/guest.ts'
import type { HostPolicy, HostStatus } from '../model/host.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import type { Operation } from '../model/operation.ts'
import type { Volume } from '../model/volume.ts'
import type { CalendarSnapshots } from './calendar-snapshots.ts'

export interface EventDraft {
  readonly kind: EventKind
  readonly subject: string
  /** Whose it is, where the records cannot tell yet. */
  readonly project?: string
  readonly message: string
  readonly details?: Readonly<Record<string, string | number | boolean>>
}

export type Action =
  | {
      readonly kind: 'host-status'
      readonly host: HostId
      readonly status: HostStatus
      /** The host's policy as it must read afterwards, when its boot ends a shutdown. */
      readonly policyAfter?: HostPolicy
    }
  | {
      readonly kind: 'grant'
      readonly guest: Guest
      /** The guest's record as it must read afterwards, when the grant fulfils what it asked for. */
      readonly guestAfter?: Guest
      readonly grant: Grant
      /** Every volume of the guest as it must read at the new epoch. */
      readonly volumes: readonly Volume[]
      /** What lost hosts have of native roots that are given up, as volumes of their own; the guest's snapshots go with them. */
      readonly aside?: readonly Volume[]
      readonly decision: Decision
      /** The host whose newer data the administrator gave up, when this grant does that. */
      readonly acceptedLoss?: HostId
    }
  | {
      readonly kind: 'recall'
      readonly guest: Guest
      readonly grant: Grant
      /** Only to even out the hosts: there are limits to how often. */
      readonly forBalance?: true
    }
  /** The guest moves while it runs: its host may begin to copy its memory to the one that the grant's hand-over names. */
  | { readonly kind: 'hand-over'; readonly guest: Guest; readonly grant: Grant; readonly forBalance?: true }
  /** Its native root is to be sent to another host first, while it runs on; then it is recalled, and goes on there. */
  | {
      readonly kind: 'send-root'
      readonly guest: Guest
      /** Asked to move there. */
      readonly guestAfter: Guest
      /** With the move begun. */
      readonly root: Volume
      readonly reason: string
    }
  /** The run's host is gone and the guest need not run: the grant is released as unclean. */
  | {
      readonly kind: 'release-lost'
      readonly guest: Guest
      readonly grant: Grant
      /** Those of the guest whose replicas on lost hosts are no longer current. */
      readonly volumes: readonly Volume[]
    }
  | { readonly kind: 'explain'; readonly guest: GuestId; readonly decision: Decision }
  | { readonly kind: 'erase'; readonly guest: Guest; readonly volumes: readonly Volume[] }
  /** A moment of the calendar has come: what is wanted of the guest, and when the next one comes. */
  | {
      readonly kind: 'schedule'
      readonly guest: Guest
      readonly guestAfter: Guest
      /** Of a restart. */
      readonly grantAfter?: Grant
      /** As a user's start does. */
      readonly forgetFailures?: boolean
      readonly snapshots?: CalendarSnapshots
    }
  | { readonly kind: 'finish-operation'; readonly operation: Operation }

export interface PlannedAction {
  readonly action: Action
  readonly events: readonly EventDraft[]
}

export interface Plan {
  readonly actions: readonly PlannedAction[]
  /** Milliseconds until the plan should be made again although nothing changed; undefined: not needed. */
  readonly againInMs?: number
}
