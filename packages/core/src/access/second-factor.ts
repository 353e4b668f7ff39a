/** Who must sign in with a second factor. Pure. */
import type { AccessRecords } from '../model/access.ts'

export const SECOND_FACTOR_METHODS = ['totp', 'security-key', 'recovery-code'] as const
export type SecondFactorMethod = (typeof SECOND_FACTOR_METHODS)[number]

export function demandsSecondFactor({ groups }: Pick<AccessRecords, 'groups'>, user: string): boolean {
  return [...groups.values()].some((group) => group.demandsSecondFactor === true && group.members.includes(user))
}
