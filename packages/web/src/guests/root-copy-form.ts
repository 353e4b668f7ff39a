/** What the form of a copy holds, and the wish that comes of it. */
import type { SetGuest } from '@stead/api/endpoints/guests.ts'

const MINUTE_MS = 60_000

export type AskedCopy = NonNullable<SetGuest['rootCopy']>

export interface RootCopyForm {
  /** 'none': there is to be no copy. */
  readonly onLoss: AskedCopy['onLoss'] | 'none'
  /** '' leaves the host to the cluster. */
  readonly to: string
  readonly minutes: number
}

export const NO_ROOT_COPY: RootCopyForm = { onLoss: 'none', to: '', minutes: 15 }

export function copyFormOf(present: AskedCopy | null): RootCopyForm {
  if (!present) return { ...NO_ROOT_COPY, onLoss: 'wait' }
  return { onLoss: present.onLoss, to: present.to ?? '', minutes: present.everyMs / MINUTE_MS }
}

/** Null: none. */
export function askedCopyOf({ onLoss, to, minutes }: RootCopyForm): AskedCopy | null {
  if (onLoss === 'none') return null
  return { ...(to === '' ? {} : { to }), everyMs: Math.round(minutes * MINUTE_MS), onLoss }
}
