/** Who there is, and what they may. What proves who somebody is lies elsewhere: docs/internals/access.md. */
import type { Role } from '../access/privilege.ts'

export interface User {
  /** `alice`, or `alice@campus` of the realm `campus`. */
  readonly name: string
  /** Who says whether a password is right; `local`: this cluster. */
  readonly realm: string
  /** What the realm itself knows him by: who gets the same name there later is not let in as him. */
  readonly subject?: string
  readonly fullName?: string
  readonly email?: string
  /** He can neither sign in nor use a token. */
  readonly disabled?: true
  /** Wall clock, ms: from then on he counts as disabled. */
  readonly expiresAt?: number
  readonly createdAt: number
}

export interface Group {
  readonly name: string
  readonly members: readonly string[]
  /** Its members sign in with a second factor, or do nothing before they have one. */
  readonly demandsSecondFactor?: true
  readonly notes?: string
}

/** At most what its user may. */
export interface ApiToken {
  readonly user: string
  /** Unique among the user's. */
  readonly name: string
  /** Has the permissions that were given to itself, as far as its user has them too; absent: all that its user has. */
  readonly separated?: true
  readonly expiresAt?: number
  readonly createdAt: number
}

/** Somebody who has signed in. Kept under the SHA-256 of what the client holds, which is thus never written anywhere. */
export interface SignInSession {
  readonly user: string
  /** Sent by a browser by itself, so that changes need the token against forged requests, or by a program that means it. */
  readonly form: 'cookie' | 'token'
  readonly createdAt: number
  /** Of the last request, to the minute. */
  readonly usedAt: number
  readonly expiresAt: number
  readonly address: string
  /** What the client calls itself. */
  readonly client: string
  /** Nothing else is permitted before. */
  readonly must?: SessionDuty
}

export type SessionDuty = 'change-password' | 'add-second-factor'

export type SubjectKind = 'user' | 'group' | 'token'

/** That somebody has a role on an object. */
export interface AccessPermission {
  readonly id: string
  readonly subject: { readonly kind: SubjectKind; readonly name: string }
  readonly role: string
  readonly path: string
  /** Also on what lies below. */
  readonly propagate: boolean
  /** Given within a project by somebody who is no administrator of users. It counts in that project only. */
  readonly delegated?: { readonly project: string; readonly by: string }
}

export interface AccessRecords {
  readonly users: ReadonlyMap<string, User>
  readonly groups: ReadonlyMap<string, Group>
  readonly roles: ReadonlyMap<string, Role>
  readonly tokens: ReadonlyMap<string, ApiToken>
  readonly permissions: readonly AccessPermission[]
}

export type Principal =
  /** Whoever is root of a host: by its unix socket. */
  | { readonly kind: 'root'; readonly host: string }
  /** `session`: by which he comes. */
  | { readonly kind: 'user'; readonly name: string; readonly session?: string }
  /** Of what is open to everybody, as signing in. */
  | { readonly kind: 'nobody' }
  | { readonly kind: 'token'; readonly user: string; readonly name: string }

export function tokenKey({ user, name }: Pick<ApiToken, 'user' | 'name'>): string {
  return `${user}!${name}`
}

/** For people and for the audit. */
export function principalName(principal: Principal): string {
  if (principal.kind === 'root') return `root@${principal.host}`
  if (principal.kind === 'nobody') return 'nobody'
  return principal.kind === 'user' ? principal.name : tokenKey(principal)
}
