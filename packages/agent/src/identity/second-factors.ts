/**
 * What users prove who they are with besides their password: codes that a program makes from a shared secret (TOTP, RFC
 * 6238), and recovery codes for when that is lost. Every use is written, comparing what was
 * there: no code is good twice.
 */
import { createHash, randomInt } from 'node:crypto'
import { Secret, TOTP } from 'otpauth'
import type { SecondFactorMethod } from '@stead/core/access/second-factor.ts'
import { failure } from '@stead/core/errors.ts'
import { SECRET_KEYS } from '@stead/core/model/keys.ts'
import type { Compare, Store, Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { SecurityKey } from './security-keys.ts'

const PERIOD_S = 30
/** Of periods: clocks of telephones are seldom worse. */
const WINDOW = 1
const SECRET_BYTES = 20
const RECOVERY_CODES = 10
const LETTERS = 'abcdefghijklmnopqrstuvwxyz234567'

export interface SecondFactors {
  readonly totp?: {
    readonly secret: string
    /** The newest period of which a code was taken. */ readonly usedStep: number
  }
  /** Shown to the user, who has not yet answered with a code of it. */
  readonly adding?: { readonly secret: string }
  readonly keys?: readonly SecurityKey[]
  /** SHA-256 of those that are left: they have 80 random bits. */
  readonly recovery: readonly string[]
}

const NONE: SecondFactors = { recovery: [] }

export interface KeptFactors {
  readonly factors: SecondFactors
  readonly unchanged: Compare
}

export async function readFactors(store: Pick<Store, 'get'>, user: string): Promise<Result<KeptFactors>> {
  const key = SECRET_KEYS.secondFactors(user)
  const kept = await store.get(key)
  if (!kept.ok) return kept
  const unchanged: Compare = { key, modRevision: kept.value?.modRevision ?? 0n }
  if (!kept.value) return ok({ factors: NONE, unchanged })
  try {
    return ok({ factors: JSON.parse(kept.value.value) as SecondFactors, unchanged })
  } catch (cause) {
    return fail(failure('internal', `The second factors of ${user} cannot be read`, { cause }))
  }
}

export function putFactors(user: string, factors: SecondFactors): Write {
  return { kind: 'put', key: SECRET_KEYS.secondFactors(user), value: JSON.stringify(factors) }
}

/** Those that he can sign in with. Recovery codes stand in for others, and are none by themselves. */
export function methodsOf({ totp, keys = [], recovery }: SecondFactors): SecondFactorMethod[] {
  if (!totp && keys.length === 0) return []
  return [
    ...(totp ? (['totp'] as const) : []),
    ...(keys.length > 0 ? (['security-key'] as const) : []),
    ...(recovery.length > 0 ? (['recovery-code'] as const) : []),
  ]
}

/** The factors once the code was used; undefined when it is wrong, or was used before. */
export function afterCode(factors: SecondFactors, code: string, wallMs: number): SecondFactors | undefined {
  const { totp } = factors
  if (!totp) return undefined
  const step = stepOf(totp.secret, code, wallMs)
  if (step === undefined || step <= totp.usedStep) return undefined
  return { ...factors, totp: { ...totp, usedStep: step } }
}

export function afterRecoveryCode(factors: SecondFactors, code: string): SecondFactors | undefined {
  const digest = digestOf(code)
  if (!factors.recovery.includes(digest)) return undefined
  return { ...factors, recovery: factors.recovery.filter((one) => one !== digest) }
}

/** Which period's code it is; undefined: of none that is near. */
export function stepOf(secret: string, code: string, wallMs: number): number | undefined {
  if (!/^\d{6}$/.test(code)) return undefined
  const delta = totpOf(secret).validate({ token: code, timestamp: wallMs, window: WINDOW })
  return delta === null ? undefined : Math.floor(wallMs / 1_000 / PERIOD_S) + delta
}

export function newTotp(user: string, cluster: string): { readonly secret: string; readonly uri: string } {
  const secret = new Secret({ size: SECRET_BYTES }).base32
  return { secret, uri: totpOf(secret, user, cluster).toString() }
}

function totpOf(secret: string, label = '', issuer = 'Stead'): TOTP {
  return new TOTP({ secret: Secret.fromBase32(secret), period: PERIOD_S, label, issuer })
}

export function newRecoveryCodes(): { readonly codes: readonly string[]; readonly digests: readonly string[] } {
  const group = () => Array.from({ length: 4 }, () => LETTERS[randomInt(LETTERS.length)]).join('')
  const codes = Array.from({ length: RECOVERY_CODES }, () => [group(), group(), group(), group()].join('-'))
  return { codes, digests: codes.map(digestOf) }
}

function digestOf(code: string): string {
  return createHash('sha256').update(code.trim().toLowerCase()).digest('hex')
}
