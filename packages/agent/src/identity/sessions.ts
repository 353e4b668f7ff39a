/**
 * Sessions of those who have signed in. The store knows them by the SHA-256 of what the client holds; every agent has them
 * in its copy of the records, so that looking one up costs nothing and ending one ends it on every host at once.
 */
import { createHash, randomBytes } from 'node:crypto'
import {
  SESSION_LIFE_MS,
  SESSION_NOTED_EVERY_MS,
  SESSIONS_MAX,
  sessionExpiredBecause,
} from '@stead/core/access/session.ts'
import { failure } from '@stead/core/errors.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { Principal, SessionDuty, SignInSession } from '@stead/core/model/access.ts'
import type { Versioned } from '@stead/core/model/cluster.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Compare, Store, Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** A session that another host has just begun may not have come here yet. */
const RECORD_COMES_MS = 1_000
const SECRET = /^stead-session-[\w-]{43}$/

export interface SessionsContext {
  readonly store: Pick<Store, 'get' | 'transact'>
  readonly mirror: ClusterMirror
  readonly clock: Pick<Clock, 'wallMs' | 'sleep'>
}

export interface NewSession {
  readonly user: string
  readonly form: SignInSession['form']
  readonly address: string
  readonly client: string
  readonly must?: SessionDuty
  /** The digests of those that end with it, such as the one of before a raise of rights. */
  readonly replaces?: readonly string[]
  /** What must be written with it, or it does not begin. */
  readonly compares?: readonly Compare[]
  readonly writes?: readonly Write[]
}

export interface BegunSession {
  /** What the client holds. */
  readonly secret: string
  readonly session: SignInSession
}

export class Sessions {
  readonly #context: SessionsContext
  /** Whose use is being noted. */
  readonly #noting = new Set<string>()

  constructor(context: SessionsContext) {
    this.#context = context
  }

  /** Answers once this host's own copy holds it. */
  async begin(wanted: NewSession): Promise<Result<BegunSession>> {
    const { store, mirror, clock } = this.#context
    const { user, form, address, must, replaces = [], compares = [], writes = [] } = wanted
    const record = mirror.state.users.get(user)
    if (!record) return fail(failure('unauthorized', 'The user is gone'))
    const secret = `stead-session-${randomBytes(32).toString('base64url')}`
    const digest = sessionDigest(secret)
    const now = clock.wallMs()
    const session: SignInSession = {
      ...{ user, form, address, createdAt: now, usedAt: now, expiresAt: now + SESSION_LIFE_MS },
      client: wanted.client.slice(0, 200),
      ...(must ? { must } : {}),
    }
    const ending = new Set([...replaces, ...this.#makingRoom(user)])
    const outcome = await store.transact({
      // A user who was disabled or given another password meanwhile does not come in.
      compares: [{ key: KEYS.user(user), modRevision: record.revision }, ...compares],
      writes: [
        ...[...ending].map((old): Write => ({ kind: 'delete', key: KEYS.session(old) })),
        { kind: 'put', key: KEYS.session(digest), value: JSON.stringify(session) },
        ...writes,
      ],
    })
    if (!outcome.ok) return outcome
    if (!outcome.value.committed)
      return fail(failure('changed_meanwhile', `${user} was changed meanwhile`, { hint: 'Sign in again' }))
    await mirror.until(({ sessions }) => sessions.has(digest), clock.sleep(RECORD_COMES_MS))
    return ok({ secret, session })
  }

  /** Whether it has expired is decided with every request. */
  async ownerOf(secret: string, form: SignInSession['form']): Promise<Result<Principal>> {
    const { store, mirror, clock } = this.#context
    if (!SECRET.test(secret)) return fail(UNKNOWN)
    const digest = sessionDigest(secret)
    let found = mirror.state.sessions.get(digest)
    if (!found) {
      const kept = await store.get(KEYS.session(digest))
      if (!kept.ok) return kept
      if (kept.value) await mirror.until(({ sessions }) => sessions.has(digest), clock.sleep(RECORD_COMES_MS))
      found = mirror.state.sessions.get(digest)
    }
    if (!found || found.value.form !== form) return fail(UNKNOWN)
    void this.#noteUse(digest, found)
    return ok({ kind: 'user', name: found.value.user, session: digest })
  }

  isKnown(secret: string): boolean {
    return this.#context.mirror.state.sessions.has(sessionDigest(secret))
  }

  /** By digest; the newest first. */
  ofUser(user: string): readonly (readonly [digest: string, session: SignInSession])[] {
    return [...this.#context.mirror.state.sessions]
      .filter(([, { value }]) => value.user === user)
      .map(([digest, { value }]) => [digest, value] as const)
      .toSorted(([, a], [, b]) => b.usedAt - a.usedAt)
  }

  /** Answers once this host's own copy has lost them, as the others' copies do within milliseconds. */
  async end(digests: readonly string[]): Promise<Result<void>> {
    const { store, mirror, clock } = this.#context
    if (digests.length === 0) return ok()
    const writes = digests.map((digest): Write => ({ kind: 'delete', key: KEYS.session(digest) }))
    const outcome = await store.transact({ compares: [], writes })
    if (!outcome.ok) return outcome
    const gone = ({ sessions }: { readonly sessions: ReadonlyMap<string, unknown> }) =>
      digests.every((digest) => !sessions.has(digest))
    await mirror.until(gone, clock.sleep(RECORD_COMES_MS))
    return ok()
  }

  /** Those that have expired, and the longest unused ones of too many. */
  #makingRoom(user: string): string[] {
    const { mirror, clock } = this.#context
    const record = mirror.state.users.get(user)?.value
    const all = this.ofUser(user)
    const lasting = all.filter(([, session]) => !sessionExpiredBecause(session, record, clock.wallMs()))
    const staying = new Set(lasting.slice(0, SESSIONS_MAX - 1).map(([digest]) => digest))
    return all.map(([digest]) => digest).filter((digest) => !staying.has(digest))
  }

  async #noteUse(digest: string, { value, revision }: Versioned<SignInSession>): Promise<void> {
    const { store, mirror, clock } = this.#context
    const now = clock.wallMs()
    if (now - value.usedAt < SESSION_NOTED_EVERY_MS || this.#noting.has(digest)) return
    // One that has expired is not woken again.
    if (sessionExpiredBecause(value, mirror.state.users.get(value.user)?.value, now)) return
    this.#noting.add(digest)
    const key = KEYS.session(digest)
    // Its revision: one that has been ended stays so.
    await store.transact({
      compares: [{ key, modRevision: revision }],
      writes: [{ kind: 'put', key, value: JSON.stringify({ ...value, usedAt: now }) }],
    })
    this.#noting.delete(digest)
  }
}

export function sessionDigest(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}

/** Whatever the browser came with ends: nobody can have given it a session beforehand. */
export function endingOld({ session }: { readonly session?: string }): Pick<NewSession, 'replaces'> {
  return session === undefined ? {} : { replaces: [sessionDigest(session)] }
}

/**
 * What a browser's pages send with every change, and other sites' pages do not know. Of the session itself, so that
 * nothing is kept, and of no use without it.
 */
export function forgeryToken(secret: string): string {
  return createHash('sha256').update(`forgery ${secret}`).digest('base64url')
}

const UNKNOWN = failure('unauthorized', 'The session has ended', { hint: 'Sign in again: `stead login`' })
