/** Checks in the order in which people think of them, and whether they let the set-up begin. Pure. */
import type { SetupCheck } from '@stead/api/endpoints/set-up.ts'

export const CHECK_GROUPS = ['networks', 'disks', 'host'] as const
export type CheckGroup = (typeof CHECK_GROUPS)[number]

export function groupOf({ id }: Pick<SetupCheck, 'id'>): CheckGroup {
  if (/^(lan|san|ran)-/.test(id)) return 'networks'
  return id.startsWith('pool-') ? 'disks' : 'host'
}

/** What failed was accepted; what could not work cannot be. */
export function isAllowed(checks: readonly SetupCheck[], despite: ReadonlySet<string>): boolean {
  return checks.every(({ id, state, final }) => state !== 'failed' || (!final && despite.has(id)))
}
