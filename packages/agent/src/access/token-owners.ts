/**
 * Whose an API token is. What the client shows is looked up by its SHA-256; what was found is kept for a while, and is
 * forgotten as soon as this host's copy of the token's record changes. docs/internals/access.md.
 */
import { createHash } from 'node:crypto'
import { failure } from '@stead/core/errors.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { Principal } from '@stead/core/model/access.ts'
import { SECRET_KEYS } from '@stead/core/model/keys.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

const KEPT_MS = 10_000
const KEPT_MAX = 10_000
/** A token that another host has just made may not have come here yet. */
const RECORD_COMES_MS = 1_000
const TOKEN = /^stead-[\w-]{43}$/

interface Found {
  readonly key: string
  readonly revision: bigint
  readonly untilMs: number
}

export interface TokenOwnersContext {
  readonly store: Pick<Store, 'get'>
  readonly mirror: ClusterMirror
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
}

export class TokenOwners {
  readonly #context: TokenOwnersContext
  /** By digest, oldest first. */
  readonly #found = new Map<string, Found>()

  constructor(context: TokenOwnersContext) {
    this.#context = context
  }

  /** Whether it was somebody's when it was last looked up. */
  isKnown(token: string): boolean {
    return this.#found.has(tokenDigest(token))
  }

  /** Whether it has expired, or its user has, is decided with every request. */
  async ownerOf(token: string): Promise<Result<Principal>> {
    const { store, mirror, clock } = this.#context
    if (!TOKEN.test(token)) return fail(UNKNOWN)
    const digest = tokenDigest(token)
    const known = this.#found.get(digest)
    if (known && known.untilMs > clock.monotonicMs() && mirror.state.tokens.get(known.key)?.revision === known.revision)
      return principalOf(mirror, known.key)
    this.#found.delete(digest)
    const secret = await store.get(SECRET_KEYS.token(digest))
    if (!secret.ok) return secret
    if (!secret.value) return fail(UNKNOWN)
    const key = secret.value.value
    await mirror.until((state) => state.tokens.has(key), clock.sleep(RECORD_COMES_MS))
    const revision = mirror.state.tokens.get(key)?.revision
    if (revision === undefined) return fail(UNKNOWN)
    if (this.#found.size >= KEPT_MAX) for (const oldest of this.#found.keys()) if (this.#found.delete(oldest)) break
    this.#found.set(digest, { key, revision, untilMs: clock.monotonicMs() + KEPT_MS })
    return principalOf(mirror, key)
  }
}

/** 256 bits behind a prefix by which it is recognised, also by programs that look for secrets in files. */
export function newToken(bits: Buffer): string {
  return `stead-${bits.toString('base64url')}`
}

export function tokenDigest(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}

function principalOf(mirror: ClusterMirror, key: string): Result<Principal> {
  const token = mirror.state.tokens.get(key)?.value
  return token ? ok({ kind: 'token', user: token.user, name: token.name }) : fail(UNKNOWN)
}

const UNKNOWN = failure('unauthorized', 'The token is not known', {
  hint: 'It may have been revoked, or have been copied incompletely; `stead token create` makes another',
})
