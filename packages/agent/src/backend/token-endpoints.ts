/** API tokens: made, shown once, revoked. Whose one is that somebody shows: `access/token-owners.ts`. */
import type { TokenView } from '@stead/api/endpoints/access.ts'
import { failure } from '@stead/core/errors.ts'
import { tokenKey, type ApiToken } from '@stead/core/model/access.ts'
import type { Versioned } from '@stead/core/model/cluster.ts'
import { KEYS, SECRET_KEYS } from '@stead/core/model/keys.ts'
import type { Store, Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { AccessState } from '../access/access-records.ts'
import { newToken, tokenDigest } from '../access/token-owners.ts'
import type { ApiBackend } from '../http/backend.ts'
import { shownOnceBytes } from '../identity/shown-once.ts'
import { changeAccess, permissionsOf, remove } from './access-change.ts'
import type { Desk } from './desk.ts'

/** Programs that need more are better users of their own. */
const TOKENS_MAX = 32

export function tokenEndpoints(desk: Desk): Pick<ApiBackend, 'token.list' | 'token.create' | 'token.revoke'> {
  const { store, clock } = desk.context
  return {
    'token.list': async ({ query }) =>
      desk.loaded(({ tokens }) => {
        const wanted = [...tokens.values()].filter(({ value }) => query.user === undefined || value.user === query.user)
        return ok({ items: wanted.map(tokenView) })
      }),
    'token.create': async ({ params: { user }, body: { name, separated, expiresAt } }, request) => {
      const token: ApiToken = {
        ...{ user, name, createdAt: clock.wallMs() },
        ...(separated ? { separated: true as const } : {}),
        ...(expiresAt ? { expiresAt: Date.parse(expiresAt) } : {}),
      }
      const key = tokenKey(token)
      const secret = newToken(shownOnceBytes(request))
      const digest = tokenDigest(secret)
      const made = await changeAccess(desk, request, ({ users, tokens }) => {
        if (!users.has(user))
          return fail(failure('not_found', `There is no user ${user}`, { hint: 'See `stead user list`' }))
        if (tokens.has(key)) return fail(nameTaken(key))
        if ([...tokens.values()].filter(({ value }) => value.user === user).length >= TOKENS_MAX)
          return fail(failure('conflict', `${user} has ${TOKENS_MAX} tokens already`, { hint: 'Revoke one first' }))
        const writes: Write[] = [
          { kind: 'put', key: KEYS.token(key), value: JSON.stringify(token) },
          { kind: 'put', key: SECRET_KEYS.token(digest), value: key },
          { kind: 'put', key: SECRET_KEYS.tokenDigest(key), value: digest },
        ]
        return ok({ kind: 'token.create', subject: `token/${key}`, writes })
      })
      if (!made.ok) return made
      // Of a repeated request whose key is too short to make the secret again: it is known to the first one's client alone.
      const kept = await store.get(SECRET_KEYS.token(digest))
      if (!kept.ok) return kept
      const record = desk.state.tokens.get(key)
      return kept.value && record ? ok({ ...tokenView(record), token: secret }) : fail(nameTaken(key))
    },
    'token.revoke': async ({ params }, request) => {
      const key = tokenKey({ user: params.user, name: params.token })
      const made = await changeAccess(desk, request, async (state) => {
        if (!state.tokens.has(key))
          return fail(failure('not_found', `There is no token ${key}`, { hint: 'See `stead token list`' }))
        const digest = await store.get(SECRET_KEYS.tokenDigest(key))
        if (!digest.ok) return digest
        return ok({ kind: 'token.revoke', subject: `token/${key}`, writes: goingWith(state, key, digest.value?.value) })
      })
      return made.ok ? ok() : made
    },
  }
}

/** All of a user who is being deleted. */
export async function tokensGoing(
  store: Pick<Store, 'range'>,
  state: AccessState,
  user: string,
): Promise<Result<Write[]>> {
  const digests = await store.range(SECRET_KEYS.tokenDigest(`${user}!`))
  if (!digests.ok) return digests
  const digestOf = new Map(digests.value.entries.map(({ key, value }) => [key, value]))
  const tokens = [...state.tokens.values()].filter(({ value }) => value.user === user)
  return ok(
    tokens.flatMap(({ value }) => {
      const key = tokenKey(value)
      return goingWith(state, key, digestOf.get(SECRET_KEYS.tokenDigest(key)))
    }),
  )
}

function goingWith(state: AccessState, key: string, digest: string | undefined): Write[] {
  return [
    remove(KEYS.token(key)),
    remove(SECRET_KEYS.tokenDigest(key)),
    ...(digest === undefined ? [] : [remove(SECRET_KEYS.token(digest))]),
    ...permissionsOf(state, 'token', [key]),
  ]
}

function tokenView({ value, revision }: Versioned<ApiToken>): TokenView {
  const { user, name, separated, expiresAt, createdAt } = value
  const end = expiresAt === undefined ? null : new Date(expiresAt).toISOString()
  return {
    ...{ user, name, separated: separated === true, expiresAt: end, createdAt: new Date(createdAt).toISOString() },
    revision: String(revision),
  }
}

function nameTaken(key: string) {
  return failure('name_taken', `There is a token ${key} already`, {
    hint: 'What it was is shown once; if that was lost, revoke it and make another',
  })
}
