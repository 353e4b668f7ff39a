/**
 * Shares of a key, any two of which make it (Shamir, "How to share a secret", 1979, threshold two). The key is where a
 * straight line over the integers modulo a prime crosses zero; a host's share is the line's value at a place of its own,
 * and says nothing about the key by itself, since the slope is as random as the key. Whoever has the line can give
 * a share to a host that comes later, without the others.
 */
import { createHash, randomBytes } from 'node:crypto'
import { assert } from '@stead/core/assert.ts'

export const KEY_BYTES = 32
/** The largest prime below 2^256. */
const PRIME = 2n ** 256n - 189n
const PLACE_BYTES = 16

/** Both below `PRIME`, 32 bytes, big-endian. */
export interface KeyLine {
  readonly key: Buffer
  readonly slope: Buffer
}

export interface Share {
  readonly host: string
  readonly value: Buffer
}

export function randomLine(): KeyLine {
  return { key: bytesOf(randomBelowPrime()), slope: bytesOf(randomBelowPrime()) }
}

export function shareFor(host: string, { key, slope }: KeyLine): Share {
  return { host, value: bytesOf(modulo(numberOf(key) + numberOf(slope) * placeOf(host))) }
}

/** Of two hosts. Shares of different lines give a line too, another one: the key has to be checked. */
export function lineThrough(a: Share, b: Share): KeyLine {
  assert(a.host !== b.host, 'two shares are of two hosts')
  const [xa, xb, ya, yb] = [placeOf(a.host), placeOf(b.host), numberOf(a.value), numberOf(b.value)]
  const slope = modulo((yb - ya) * inverse(modulo(xb - xa)))
  return { key: bytesOf(modulo(ya - slope * xa)), slope: bytesOf(slope) }
}

/** 128 bits of a digest: no two hosts meet, and none is at zero, where the key is. */
function placeOf(host: string): bigint {
  const digest = createHash('sha256').update(`stead share of ${host}`).digest()
  return numberOf(digest.subarray(0, PLACE_BYTES)) + 1n
}

function randomBelowPrime(): bigint {
  for (;;) {
    const number = numberOf(randomBytes(KEY_BYTES))
    if (number < PRIME) return number
  }
}

function modulo(number: bigint): bigint {
  const rest = number % PRIME
  return rest < 0n ? rest + PRIME : rest
}

/** By Fermat: a^(p-2). */
function inverse(number: bigint): bigint {
  let [result, base, exponent] = [1n, number, PRIME - 2n]
  for (; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = (result * base) % PRIME
    base = (base * base) % PRIME
  }
  return result
}

function numberOf(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`)
}

function bytesOf(number: bigint): Buffer {
  return Buffer.from(number.toString(16).padStart(KEY_BYTES * 2, '0'), 'hex')
}
