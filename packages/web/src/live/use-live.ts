import { createContext, useContext, useSyncExternalStore } from 'react'
import type { GuestView, HostView, OperationView, VolumeView } from '@stead/api/views.ts'
import type { LiveState, LiveStore } from './live-store.ts'

export const LiveContext = createContext<LiveStore | undefined>(undefined)

/** `select` must give the same object for the same state: a table, a record in it, or what `derived` has made. */
export function useLive<Part>(select: (state: LiveState) => Part): Part {
  const store = useContext(LiveContext)
  if (!store) throw new Error('there is no live store here')
  return useSyncExternalStore(store.subscribe, () => select(store.state()))
}

/** Computes anew only when what it is made of is another object. */
function derived<From extends object, To>(make: (from: From) => To): (from: From) => To {
  const made = new WeakMap<From, To>()
  return (from) => {
    const known = made.get(from)
    if (known !== undefined) return known
    const result = make(from)
    made.set(from, result)
    return result
  }
}

const collator = new Intl.Collator('en', { numeric: true })
const byName = <View extends { readonly name: string }>(views: ReadonlyMap<string, View>): readonly View[] =>
  [...views.values()].toSorted((a, b) => collator.compare(a.name, b.name))

const sortedGuests = derived((guests: ReadonlyMap<string, GuestView>) => byName(guests))
const sortedHosts = derived((hosts: ReadonlyMap<string, HostView>) => byName(hosts))
const sortedVolumes = derived((volumes: ReadonlyMap<string, VolumeView>) =>
  [...volumes.values()].toSorted((a, b) => collator.compare(`${a.guest}/${a.name}`, `${b.guest}/${b.name}`)),
)
const newestOperations = derived((operations: ReadonlyMap<string, OperationView>) =>
  [...operations.values()].toSorted((a, b) => b.startedAt - a.startedAt),
)
const guestsByName = derived(
  (guests: ReadonlyMap<string, GuestView>) =>
    new Map([...guests.values()].map((guest) => [guest.name, guest] as const)) as ReadonlyMap<string, GuestView>,
)

export const useGuests = () => useLive((state) => sortedGuests(state.guests))
export const useHosts = () => useLive((state) => sortedHosts(state.hosts))
export const useVolumes = () => useLive((state) => sortedVolumes(state.volumes))
export const useOperations = () => useLive((state) => newestOperations(state.operations))
export const useGuest = (name: string) => useLive((state) => guestsByName(state.guests).get(name))
export const useHost = (name: string) => useLive((state) => state.hosts.get(name))
