/** Search across everything: names before what merely contains the words; a few of the best. */
import type { GuestView, HostView, VolumeView } from '@stead/api/views.ts'

export interface Findable {
  readonly id: string
  /** What it is found by. */
  readonly words: string
  readonly name: string
}

export const FOUND_MAX = 12

/** The best first. An empty query finds the first ones. */
export function search<Item extends Findable>(items: readonly Item[], query: string): readonly Item[] {
  const wanted = query.trim().toLowerCase().split(/\s+/).filter(Boolean)
  if (wanted.length === 0) return items.slice(0, FOUND_MAX)
  // One list for each degree of likeness: no sorting of thousands.
  const likeness: Item[][] = [[], [], [], []]
  for (const item of items) {
    const rank = rankOf(item, wanted)
    if (rank !== undefined) (likeness[rank] as Item[]).push(item)
    if ((likeness[0] as Item[]).length >= FOUND_MAX) break
  }
  return likeness.flat().slice(0, FOUND_MAX)
}

function rankOf({ name, words }: Findable, wanted: readonly string[]): number | undefined {
  const lowerName = name.toLowerCase()
  const all = `${lowerName} ${words.toLowerCase()}`
  if (!wanted.every((word) => all.includes(word))) return undefined
  const [first = ''] = wanted
  if (lowerName === first) return 0
  if (lowerName.startsWith(first)) return 1
  return lowerName.includes(first) ? 2 : 3
}

export type Found =
  | (Findable & { readonly kind: 'guest'; readonly guest: GuestView })
  | (Findable & { readonly kind: 'host'; readonly host: HostView })
  | (Findable & { readonly kind: 'volume'; readonly volume: VolumeView })
  | (Findable & { readonly kind: 'page'; readonly to: string })

export function findables(
  guests: readonly GuestView[],
  hosts: readonly HostView[],
  volumes: readonly VolumeView[],
  pages: readonly { readonly name: string; readonly to: string }[],
): readonly Found[] {
  return [
    ...pages.map((page): Found => ({ kind: 'page', id: `page${page.to}`, name: page.name, words: '', to: page.to })),
    ...hosts.map((host): Found => {
      const words = Object.values({ ...host.addresses, ...host.faultDomains }).join(' ')
      return { kind: 'host', id: `host/${host.name}`, name: host.name, words, host }
    }),
    ...guests.map((guest): Found => {
      const words = [...guest.tags, guest.host ?? '', guest.id, ...guest.nics.map(({ mac }) => mac)].join(' ')
      return { kind: 'guest', id: `guest/${guest.id}`, name: guest.name, words, guest }
    }),
    ...volumes.map((volume): Found => {
      const name = `${volume.guest}/${volume.name}`
      return { kind: 'volume', id: `volume/${volume.id}`, name, words: volume.id, volume }
    }),
  ]
}
