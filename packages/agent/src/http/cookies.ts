/**
 * The cookies of the public port. `__Host-`: a browser takes them over TLS only, for this very host, and no other host of
 * the same domain can set them.
 */

export const SESSION_COOKIE = '__Host-stead-session'
/** Shows that somebody has signed in on this device before; see `identity/device-keys.ts`. */
export const DEVICE_COOKIE = '__Host-stead-device'
/** A sign-in by an OpenID realm that this browser has begun; see `identity/realms/realm-sign-in.ts`. */
export const REALM_COOKIE = '__Host-stead-realm-sign-in'
export const DEVICE_COOKIE_LIFE_S = 365 * 86_400

/** The first of that name. */
export function cookieOf(header: string | undefined, name: string): string | undefined {
  for (const part of (header ?? '').split(';')) {
    const equals = part.indexOf('=')
    if (equals !== -1 && part.slice(0, equals).trim() === name) return part.slice(equals + 1).trim()
  }
  return undefined
}

/** `maxAgeS` 0: it is to be forgotten. */
export function setCookieHeader(name: string, value: string, maxAgeS: number): string {
  return `${name}=${value}; Max-Age=${maxAgeS}; Path=/; Secure; HttpOnly; SameSite=Strict`
}
