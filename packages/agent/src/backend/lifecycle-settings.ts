/** Tags, notes, autostart and protections of a guest: how they are set, and what they keep from being done. */
import type { SetGuest } from '@stead/api/endpoints/guests.ts'
import { failure, type Failure } from '@stead/core/errors.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { GuestLifecycle, Protection } from '@stead/core/model/lifecycle.ts'

type Settings = Pick<GuestLifecycle, 'autostart' | 'protectedFrom' | 'tags' | 'notes'>
type Wish = Pick<SetGuest, 'autostart' | 'protectedFrom' | 'tags' | 'notes'>

/** What a request sets; empty when it is about other things. */
export function lifecycleSettings({ autostart, protectedFrom, tags, notes }: Wish): Settings {
  return {
    ...(autostart === undefined ? {} : { autostart }),
    ...(protectedFrom === undefined ? {} : { protectedFrom: [...new Set(protectedFrom)].toSorted() }),
    ...(tags === undefined ? {} : { tags: tags.toSorted() }),
    ...(notes === undefined ? {} : { notes }),
  }
}

/** Why a protected guest is not deleted or stopped. A delete stops it, so that both kinds keep it from that. */
export function objectionTo(guest: Guest, what: Protection): Failure | undefined {
  const found = guest.lifecycle?.protectedFrom ?? []
  const by = found.includes(what) ? what : what === 'delete' && found.includes('stop') ? 'stop' : undefined
  if (by === undefined) return undefined
  const left = found.filter((one) => one !== by)
  const protection = by === 'delete' ? 'being deleted' : 'being stopped'
  return failure('conflict', `${guest.name} is protected from ${protection}`, {
    hint: `If it really is to be, take the protection off first: \`stead vm set ${guest.name} --protect ${left.join(',') || 'nothing'}\``,
  })
}

/** `wanted`: separated by commas; all of them. */
export function hasTags(tags: readonly string[], wanted: string | undefined): boolean {
  return wanted === undefined || wanted.split(',').every((tag) => tags.includes(tag))
}
