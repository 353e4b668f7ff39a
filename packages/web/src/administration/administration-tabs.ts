export const ADMINISTRATION_TABS = [
  'users',
  'groups',
  'permissions',
  'roles',
  'tokens',
  'realms',
  'projects',
  'images',
  'backups',
  'webhooks',
  'audit',
  'settings',
] as const
export type AdministrationTab = (typeof ADMINISTRATION_TABS)[number]

/** As the page's address holds it. */
export function administrationTabOf(search: Record<string, unknown>): { tab?: AdministrationTab } {
  const tab = ADMINISTRATION_TABS.find((one) => one === search['tab'])
  return tab ? { tab } : {}
}
