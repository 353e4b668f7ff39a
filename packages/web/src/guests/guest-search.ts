/** What of a guest's page stands in its address: which tab, so that it can be linked to and a reload stays there. */
export interface GuestSearch {
  readonly tab?: string
}

export function guestSearch(search: Record<string, unknown>): GuestSearch {
  const { tab } = search
  return typeof tab === 'string' ? { tab } : {}
}
