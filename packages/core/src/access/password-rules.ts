/**
 * What a password must be: long, and without its user's name. NIST SP 800-63B: no rules of composition, which make
 * passwords alike, and no expiry, which makes them a series. Whether it is among those that are tried first says a
 * dictionary: `agent/identity/password-strength.ts`.
 */
import { failure } from '../errors.ts'
import { DEFAULT_PASSWORDS, type PasswordPolicy } from '../model/cluster-policy.ts'
import { fail, ok, type Result } from '../result.ts'

/** Also so that hashing one costs no more than another. */
export const PASSWORD_LENGTH_MAX = 256
/** Shorter names are part of too many words. */
const NAME_LENGTH_MIN = 3

/** The same characters can be written in several ways, and keyboards differ in which they send. */
export function normalPassword(password: string): string {
  return password.normalize('NFKC')
}

/** The normal form. */
export function checkPassword(
  password: string,
  user: string,
  { lengthMin }: Pick<PasswordPolicy, 'lengthMin'> = DEFAULT_PASSWORDS,
): Result<string> {
  const normal = normalPassword(password)
  const { length } = [...normal]
  const refused = (why: string) =>
    fail<string>(failure('bad_request', `The password ${why}`, { hint: passwordHint(lengthMin) }))
  if (length < lengthMin) return refused(`has fewer than ${lengthMin} characters`)
  if (length > PASSWORD_LENGTH_MAX) return refused(`has more than ${PASSWORD_LENGTH_MAX} characters`)
  const name = user.split('@')[0] ?? user
  if (name.length >= NAME_LENGTH_MIN && normal.toLowerCase().includes(name)) return refused(`contains the name ${name}`)
  return ok(normal)
}

export function passwordHint(lengthMin: number): string {
  return `Take ${lengthMin} characters or more: four words that have nothing to do with each other are easy to remember`
}
