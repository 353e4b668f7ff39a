/** What the browser does with security keys; the library that speaks with it comes with the first one. */
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { SignInView } from '@stead/api/endpoints/sign-in.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, type Result } from '@stead/core/result.ts'

const library = () => import('@simplewebauthn/browser')

/** `pending`: after a password; absent: the key alone. */
export async function signInByKey(client: Client, pending?: string): Promise<Result<SignInView>> {
  const asked = await client.call(ENDPOINTS['auth.begin-key'], { body: pending === undefined ? {} : { pending } })
  if (!asked.ok) return asked
  const { options, sealed } = asked.value
  const { startAuthentication } = await library()
  const response = await answered(() => startAuthentication({ optionsJSON: options as never }))
  if (!response.ok) return response
  const key = { response: response.value as never, sealed }
  return pending === undefined
    ? client.call(ENDPOINTS['auth.key'], { body: { ...key, form: 'cookie' } })
    : client.call(ENDPOINTS['auth.second-factor'], { body: { pending, key } })
}

export async function addKey(client: Client, name: string) {
  const asked = await client.call(ENDPOINTS['factor.begin-key'])
  if (!asked.ok) return asked
  const { options, sealed } = asked.value
  const { startRegistration } = await library()
  const response = await answered(() => startRegistration({ optionsJSON: options as never }))
  if (!response.ok) return response
  return client.call(ENDPOINTS['factor.add-key'], { body: { name, response: response.value as never, sealed } })
}

/** Whoever thinks better of it, or has no such key, is told nothing more by the browser. */
async function answered<T>(ask: () => Promise<T>): Promise<Result<T>> {
  try {
    return { ok: true, value: await ask() }
  } catch (cause) {
    return fail(failure('unauthorized', 'The browser has given no answer of a key', { cause, hint: 'Try again' }))
  }
}
