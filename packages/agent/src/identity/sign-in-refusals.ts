/** In what words a sign-in is refused: the same whatever was wrong of it. */
import { failure, type Failure } from '@stead/core/errors.ts'

export function keptElsewhere(user: string): Failure {
  const realm = user.split('@')[1] ?? ''
  return failure('conflict', `The password of ${user} is kept by ${realm}`, { hint: 'Change it there' })
}

const AGAIN = { hint: 'Type it again; if it is lost, an administrator can give you a one-time password' }
export const WRONG_PRESENT_PASSWORD: Failure = failure('forbidden', 'The present password is not right', AGAIN)
export const WRONG: Failure = failure('unauthorized', 'The user or the password is not right', AGAIN)
export const WRONG_KEY: Failure = failure('unauthorized', 'The security key opens nothing here', {
  hint: 'Sign in with the password',
})
export const WRONG_CODE: Failure = failure('unauthorized', 'The code is not right, or was used already', {
  hint: 'Wait for the next one; `stead login` also takes a recovery code',
})
export const ONLY_SIGNED_IN = failure('forbidden', 'This is for people who have signed in themselves', {
  hint: 'Sign in with `stead login`; an API token or root of a host cannot do it for somebody',
})

export function tooOften(waitMs: number): Failure {
  const hint = 'Wait; sign in on a device that you have used before; or ask an administrator for a one-time password'
  return failure('too_many_requests', 'Too many sign-ins have failed from here', { hint, retryAfterMs: waitMs })
}
