/** The resource tree as the flat list of rows that is drawn: only what is open, so that 10,000 guests cost nothing. */
import type { GuestView, HostView } from '@stead/api/views.ts'

export const TREE_ORDERS = ['host', 'project', 'kind', 'tag'] as const
export type TreeOrder = (typeof TREE_ORDERS)[number]

export interface TreeGroup {
  readonly kind: 'group'
  readonly id: string
  /** The name of a host, a project or a tag; of others the group is told by its id. */
  readonly name: string
  readonly host: HostView | undefined
  readonly count: number
  readonly isOpen: boolean
}
export interface TreeLeaf {
  readonly kind: 'leaf'
  /** A guest with two tags has two leaves. */
  readonly id: string
  readonly guest: GuestView
}
export type TreeRow = TreeGroup | TreeLeaf

/** Guests that run nowhere, and those without a tag, are in a group of this name. */
export const REST = ''

/** `guests` and `hosts` are sorted by name; `closed` holds the ids of groups that were closed. */
export function treeRows(
  order: TreeOrder,
  guests: readonly GuestView[],
  hosts: readonly HostView[],
  closed: ReadonlySet<string>,
): readonly TreeRow[] {
  const groups = new Map<string, GuestView[]>()
  if (order === 'host') for (const { name } of hosts) groups.set(name, [])
  if (order === 'kind') for (const kind of ['vm', 'ct']) groups.set(kind, [])
  for (const guest of guests) {
    for (const name of groupsOf(order, guest)) {
      const members = groups.get(name)
      if (members) members.push(guest)
      else groups.set(name, [guest])
    }
  }
  const hostOf = new Map(hosts.map((host) => [host.name, host]))
  const names = [...groups.keys()]
  // The rest comes last; projects and tags come in the order of the alphabet.
  if (order === 'tag' || order === 'project') names.sort((a, b) => a.localeCompare(b))
  names.sort((a, b) => Number(a === REST) - Number(b === REST))
  return names.flatMap((name): TreeRow[] => {
    const id = `${order}/${name}`
    const members = groups.get(name) ?? []
    const isOpen = !closed.has(id)
    const host = order === 'host' ? hostOf.get(name) : undefined
    const group: TreeGroup = { kind: 'group', id, name, host, count: members.length, isOpen }
    return isOpen
      ? [group, ...members.map((guest): TreeLeaf => ({ kind: 'leaf', id: `${id}/${guest.id}`, guest }))]
      : [group]
  })
}

function groupsOf(order: TreeOrder, guest: GuestView): readonly string[] {
  if (order === 'host') return [guest.host ?? REST]
  if (order === 'project') return [guest.project]
  if (order === 'kind') return [guest.kind]
  return guest.tags.length === 0 ? [REST] : guest.tags
}
