/**
 * The two steps of whatever is done with a security key: a challenge, which is sealed and held by the browser, and the
 * answer to it. What a challenge was made for, and for whom, is sealed with it.
 */
import { createHash, createHmac } from 'node:crypto'
import { failure } from '@stead/core/errors.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { SECRET_KEYS } from '@stead/core/model/keys.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Compare, Store, Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { Visitor } from '../http/backend.ts'
import type { ClusterKey } from './cluster-key.ts'
import { Sealed } from './sealed.ts'
import {
  afterKey,
  keyAdded,
  keySite,
  optionsToAdd,
  optionsToShow,
  KEYS_MAX,
  type SecurityKey,
} from './security-keys.ts'
import { readFactors, type KeptFactors, type SecondFactors } from './second-factors.ts'

const LIFE_MS = 5 * 60_000

export interface KeySignInContext {
  readonly store: Pick<Store, 'get' | 'transact' | 'grantLease'>
  readonly mirror: ClusterMirror
  readonly clock: Clock
  readonly key: ClusterKey
}

/** What a browser has answered. */
export interface ShownKey {
  readonly response: object
  readonly sealed: string
}

interface Challenge {
  readonly challenge: string
  /** `add`: to whom; `factor`: of which sign-in; `alone`: of nobody yet. */
  readonly of: string
}

export interface KeyOwner {
  readonly user: string
  readonly after: SecondFactors
  /** No answer is good twice. */
  readonly compares: readonly Compare[]
  readonly writes: readonly Write[]
}

export class KeySignIn {
  readonly #context: KeySignInContext
  readonly #adding: Sealed<Challenge>
  readonly #showing: Sealed<Challenge>
  readonly #alone: Sealed<Challenge>
  #owners: { readonly users: ClusterState['users']; readonly byHandle: ReadonlyMap<string, string> } | undefined

  constructor(context: KeySignInContext) {
    this.#context = context
    this.#adding = new Sealed(context.key, 'a security key is added', LIFE_MS)
    this.#showing = new Sealed(context.key, 'a security key is shown', LIFE_MS)
    this.#alone = new Sealed(context.key, 'a security key alone is shown', LIFE_MS)
  }

  async beginAdding(user: string, { keys = [] }: SecondFactors, visitor: Visitor) {
    const site = keySite(visitor.origin)
    if (!site.ok) return site
    if (keys.length >= KEYS_MAX) return fail(failure('conflict', `You have ${KEYS_MAX} keys already`))
    const secret = await this.#context.key.keyFor('handles of security keys')
    if (!secret.ok) return secret
    const cluster = this.#context.mirror.state.settings?.value.name ?? 'Stead'
    const handle = this.#handleOf(secret.value, user)
    const options = await optionsToAdd({ name: user, handle }, cluster, site.value, keys)
    return this.#sealedWith(this.#adding, options, user)
  }

  async added(
    user: string,
    { response, sealed }: ShownKey,
    name: string,
    visitor: Visitor,
  ): Promise<Result<SecurityKey>> {
    const site = keySite(visitor.origin)
    if (!site.ok) return site
    const wallMs = this.#context.clock.wallMs()
    const opened = await this.#adding.open(sealed, wallMs)
    if (!opened.ok) return opened
    if (opened.value?.of !== user) return fail(NOT_ASKED)
    const key = await keyAdded(response, opened.value.challenge, site.value, name, wallMs)
    return key ? ok(key) : fail(failure('bad_request', 'The key has not answered what it was asked'))
  }

  /** After the password; `pending`: of which sign-in. */
  async beginFactor(pending: string, user: string, visitor: Visitor) {
    const site = keySite(visitor.origin)
    if (!site.ok) return site
    const kept = await readFactors(this.#context.store, user)
    if (!kept.ok) return kept
    const { keys = [] } = kept.value.factors
    if (!keys.some((key) => key.site === site.value.site))
      return fail(
        failure('conflict', `You have no security key for ${site.value.site}`, {
          hint:
            keys.length === 0
              ? 'Show another factor'
              : `Sign in at ${[...new Set(keys.map((key) => key.site))].join(', ')}`,
        }),
      )
    return this.#sealedWith(this.#showing, await optionsToShow(keys, site.value), digestOf(pending))
  }

  /** The factors once the key was used; undefined: the answer is not right. */
  async afterFactor(
    { factors }: KeptFactors,
    pending: string,
    { response, sealed }: ShownKey,
    visitor: Visitor,
  ): Promise<Result<SecondFactors | undefined>> {
    const site = keySite(visitor.origin)
    if (!site.ok) return site
    const wallMs = this.#context.clock.wallMs()
    const opened = await this.#showing.open(sealed, wallMs)
    if (!opened.ok) return opened
    if (opened.value?.of !== digestOf(pending)) return ok(undefined)
    const { challenge } = opened.value
    const keys = await afterKey(factors.keys ?? [], response, challenge, site.value, 'present', wallMs)
    return ok(keys && { ...factors, keys })
  }

  async beginAlone(visitor: Visitor) {
    const site = keySite(visitor.origin)
    if (!site.ok) return site
    return this.#sealedWith(this.#alone, await optionsToShow(undefined, site.value), '')
  }

  /** Whose key has been shown, with his PIN or finger; undefined: nobody's. */
  async ownerOf({ response, sealed }: ShownKey, visitor: Visitor): Promise<Result<KeyOwner | undefined>> {
    const { store, clock } = this.#context
    const site = keySite(visitor.origin)
    if (!site.ok) return site
    const wallMs = clock.wallMs()
    const opened = await this.#alone.open(sealed, wallMs)
    if (!opened.ok) return opened
    const user = await this.#userOf((response as { response?: { userHandle?: unknown } }).response?.userHandle)
    if (!user.ok) return user
    if (!opened.value || user.value === undefined) return ok(undefined)
    const kept = await readFactors(store, user.value)
    if (!kept.ok) return kept
    const { factors, unchanged } = kept.value
    const { challenge } = opened.value
    const keys = await afterKey(factors.keys ?? [], response, challenge, site.value, 'known', wallMs)
    if (!keys) return ok(undefined)
    const lease = await store.grantLease(LIFE_MS)
    if (!lease.ok) return lease
    const used = SECRET_KEYS.usedChallenge(digestOf(challenge))
    return ok({
      ...{ user: user.value, after: { ...factors, keys } },
      compares: [unchanged, { key: used, modRevision: 0n }],
      writes: [{ kind: 'put', key: used, value: user.value, lease: lease.value }],
    })
  }

  async #sealedWith<Options extends { readonly challenge: string }>(
    by: Sealed<Challenge>,
    options: Options,
    of: string,
  ) {
    const sealed = await by.seal({ challenge: options.challenge, of }, this.#context.clock.wallMs())
    return sealed.ok ? ok({ options: { ...options } as Record<string, unknown>, sealed: sealed.value }) : sealed
  }

  /** What a key keeps of its owner: nothing that can be read, and another one for whoever has the name later. */
  #handleOf(secret: Buffer, user: string): Buffer {
    const createdAt = this.#context.mirror.state.users.get(user)?.value.createdAt ?? 0
    return createHmac('sha256', secret).update(`${createdAt} ${user}`).digest()
  }

  async #userOf(shown: unknown): Promise<Result<string | undefined>> {
    if (typeof shown !== 'string') return ok(undefined)
    const secret = await this.#context.key.keyFor('handles of security keys')
    if (!secret.ok) return secret
    const { users } = this.#context.mirror.state
    // Made anew only when there are other users: it is asked by strangers.
    if (this.#owners?.users !== users) {
      const byHandle = [...users.keys()].map(
        (name) => [this.#handleOf(secret.value, name).toString('base64url'), name] as const,
      )
      this.#owners = { users, byHandle: new Map(byHandle) }
    }
    return ok(this.#owners.byHandle.get(shown))
  }
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

const NOT_ASKED = failure('unauthorized', 'The key was not asked for this, or more than five minutes ago', {
  hint: 'Begin anew',
})
