export const AVAILABILITY_TABS = ['state', 'rules', 'decisions', 'failovers'] as const
export type AvailabilityTab = (typeof AVAILABILITY_TABS)[number]

/** As the page's address holds it. */
export function availabilityTabOf(search: Record<string, unknown>): { tab?: AvailabilityTab } {
  const tab = AVAILABILITY_TABS.find((one) => one === search['tab'])
  return tab ? { tab } : {}
}
