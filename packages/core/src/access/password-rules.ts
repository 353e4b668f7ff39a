/**
 * What a password must be: long, and not what is tried first. NIST SP 800-63B: no rules of composition, which make
 * passwords alike, and no expiry, which makes them a series.
 */
import { failure } from '../errors.ts'
import { fail, ok, type Result } from '../result.ts'

export const PASSWORD_LENGTH_MIN = 12
/** Also so that hashing one costs no more than another. */
export const PASSWORD_LENGTH_MAX = 256

/** Of lists of leaked ones, those of 12 and more, and what they are made of. */
const WORN = [
  'password',
  'passwort',
  'qwertz',
  'qwerty',
  '123456',
  'letmein',
  'welcome',
  'iloveyou',
  'administrator',
  'stead',
]

/** The same characters can be written in several ways, and keyboards differ in which they send. */
export function normalPassword(password: string): string {
  return password.normalize('NFKC')
}

/** The normal form. */
export function checkPassword(password: string, user: string): Result<string> {
  const normal = normalPassword(password)
  const characters = [...normal]
  if (characters.length < PASSWORD_LENGTH_MIN) return refused(`has fewer than ${PASSWORD_LENGTH_MIN} characters`)
  if (characters.length > PASSWORD_LENGTH_MAX) return refused(`has more than ${PASSWORD_LENGTH_MAX} characters`)
  const lower = normal.toLowerCase()
  const rest = [user.split('@')[0] ?? user, ...WORN].reduce((text, word) => text.replaceAll(word, ''), lower)
  if ([...rest].length < PASSWORD_LENGTH_MIN / 2) return refused('is made of words that are tried first')
  if (new Set(characters).size < PASSWORD_LENGTH_MIN / 2) return refused('repeats few characters')
  if (isRun(lower)) return refused('is a row of the keyboard or of the alphabet')
  return ok(normal)
}

const ROWS = [
  'abcdefghijklmnopqrstuvwxyz',
  '01234567890123456789',
  'qwertyuiopasdfghjklzxcvbnm',
  'qwertzuiopasdfghjklyxcvbnm',
]

function isRun(lower: string): boolean {
  return ROWS.some((row) => row.includes(lower) || [...row].toReversed().join('').includes(lower))
}

function refused(why: string): Result<never> {
  return fail(
    failure('bad_request', `The password ${why}`, {
      hint: `Take ${PASSWORD_LENGTH_MIN} characters or more: four words that have nothing to do with each other are easy to remember`,
    }),
  )
}
