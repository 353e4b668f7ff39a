/** Signing in by a realm. What it says is believed only of its own names; what he may, the cluster says. docs/internals/realms.md. */
import { failure, type Failure } from '@stead/core/errors.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { SignInSession } from '@stead/core/model/access.ts'
import type { LdapService, OidcService, Realm, RealmIdentity } from '@stead/core/model/realm.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { REALM_COOKIE } from '../../http/cookies.ts'
import type { Visitor } from '../../http/backend.ts'
import type { ClusterKey } from '../cluster-key.ts'
import { Sealed } from '../sealed.ts'
import type { SignInAudit } from '../sign-in-audit.ts'
import { lookUp, whoHasPassword } from './directory.ts'
import { OpenedRealms } from './opened-realms.ts'
import { OidcProviders, type OidcBeginning } from './oidc-provider.ts'

const LIFE_MS = 10 * 60_000
/** The page of the web interface that providers send browsers back to. */
export const RETURN_PATH = '/sign-in/realm'
/** By it that page knows that the answer is for the command line. */
export const COMMAND_LINE_STATE = 'cli.'

export interface RealmSignInContext {
  readonly store: Pick<Store, 'get'>
  readonly mirror: ClusterMirror
  readonly clock: Clock
  readonly told: SignInAudit
  readonly key: ClusterKey
  /** Makes the user and his groups what the realm says; tells which user he is. */
  readonly admit: (realm: Realm, identity: RealmIdentity, visitor: Visitor) => Promise<Result<string>>
}

/** Whose the password is, or why it lets nobody in: that is for the audit. */
export type RealmPassword = { readonly user: string } | { readonly wrong: string }

/** Who has come by an OpenID realm. */
export interface RealmGuest {
  readonly user: string
  readonly form: SignInSession['form']
  readonly hasSecondFactor: boolean
}

interface Begun extends OidcBeginning {
  readonly form: SignInSession['form']
}

export class RealmSignIn {
  readonly #context: RealmSignInContext
  readonly #providers: OidcProviders
  readonly #begun: Sealed<Begun>
  readonly #opened: OpenedRealms

  constructor(context: RealmSignInContext) {
    this.#context = context
    this.#providers = new OidcProviders(context.clock)
    this.#opened = new OpenedRealms(context.store)
    this.#begun = new Sealed(context.key, 'sign-in by OpenID', LIFE_MS)
  }

  /** Of a directory's user. */
  async checkPassword(realm: Realm, user: string, password: string, visitor: Visitor): Promise<Result<RealmPassword>> {
    if (realm.disabled) return fail(disabled(realm))
    if (!isDirectory(realm))
      return fail(
        failure('bad_request', `${user} signs in on the page of ${realm.name}`, {
          hint: `\`stead login URL --realm ${realm.name}\`, or its button in the web interface`,
        }),
      )
    const opened = await this.#opened.of(realm)
    if (!opened.ok) return opened
    const found = await whoHasPassword(opened.value, user.split('@')[0] ?? '', password)
    if (!found.ok) return this.#refused(realm.name, visitor, found.error)
    const answer = found.value
    if (answer.kind === 'wrong')
      return ok({ wrong: answer.isLocked ? `the account is locked in ${realm.name}` : 'the password is wrong' })
    if (answer.kind === 'barred') {
      const told = `${realm.name} does not let you in: ${BARRED[answer.by]}`
      this.#context.told.refused(user, visitor, told)
      return fail(failure('forbidden', told, { hint: BARRED_HINT }))
    }
    const admitted = await this.#context.admit(realm, answer.identity, visitor)
    return admitted.ok ? ok({ user: admitted.value }) : this.#refused(realm.name, visitor, admitted.error)
  }

  async begin(name: string, form: SignInSession['form'], visitor: Visitor) {
    const realm = await this.#provider(name)
    if (!realm.ok) return realm
    if (visitor.origin === undefined || (form === 'cookie' && !visitor.setCookie))
      return fail(failure('bad_request', 'By a realm one signs in at the public port'))
    const redirectUri = `${visitor.origin}${RETURN_PATH}`
    const begun = await this.#providers.begin(realm.value, redirectUri, form === 'token' ? COMMAND_LINE_STATE : '')
    if (!begun.ok) return this.#refused(name, visitor, begun.error)
    const { url, beginning } = begun.value
    const sealed = await this.#begun.seal({ ...beginning, form }, this.#context.clock.wallMs())
    if (!sealed.ok) return sealed
    if (form === 'token') return ok({ url, sealed: sealed.value })
    visitor.setCookie?.(REALM_COOKIE, sealed.value, LIFE_MS / 1_000)
    return ok({ url, sealed: null })
  }

  /** `sealed`: what `begin` has given; of a browser it is in its cookie. */
  async finish(answer: string, sealed: string | undefined, visitor: Visitor): Promise<Result<RealmGuest>> {
    const opened = await this.#begun.open(sealed ?? visitor.realmSignIn ?? '', this.#context.clock.wallMs())
    if (!opened.ok) return opened
    const begun = opened.value
    // What was begun in a browser ends in that browser: nobody is signed in as somebody else by a link.
    if (!begun || (begun.form === 'cookie') !== (sealed === undefined)) return fail(NOT_BEGUN)
    visitor.setCookie?.(REALM_COOKIE, '', 0)
    const realm = await this.#provider(begun.realm)
    if (!realm.ok) return realm
    const found = await this.#providers.finish(realm.value, begun, answer)
    if (!found.ok) return this.#refused(begun.realm, visitor, found.error)
    const admitted = await this.#context.admit(realm.value, found.value, visitor)
    if (!admitted.ok) return this.#refused(begun.realm, visitor, admitted.error)
    return ok({
      user: admitted.value,
      form: begun.form,
      hasSecondFactor: realm.value.service.checksSecondFactor === true,
    })
  }

  async test(
    known: Realm,
    name: string | undefined,
  ): Promise<Result<{ readonly answered: string; readonly identity?: RealmIdentity }>> {
    const opened = await this.#opened.of(known)
    if (!opened.ok) return opened
    const realm = opened.value
    if (isDirectory(realm)) return lookUp(realm, name)
    if (!isProvider(realm)) throw new Error('there is no third kind')
    if (name !== undefined)
      return fail(failure('bad_request', 'An OpenID realm says who somebody is only when he signs in'))
    const answered = await this.#providers.test(realm)
    return answered.ok ? ok({ answered: answered.value }) : answered
  }

  async #provider(name: string): Promise<Result<Realm & { readonly service: OidcService }>> {
    const realm = this.#context.mirror.state.realms.get(name)?.value
    if (!realm || !isProvider(realm))
      return fail(failure('not_found', `There is no OpenID realm ${name}`, { hint: 'See `stead realm list`' }))
    return realm.disabled ? fail(disabled(realm)) : this.#opened.of(realm)
  }

  /** Where a realm is, and what lies beneath, is for the audit and for `realm test`, not for strangers. */
  #refused(realm: string, visitor: Visitor, { cause, ...told }: Failure): Result<never> {
    this.#context.told.refusedByRealm(realm, visitor, told.message, cause)
    return fail(told.code === 'realm_unreachable' ? failure(told.code, `${realm} does not answer`) : told)
  }
}

function isDirectory(realm: Realm): realm is Realm & { readonly service: LdapService } {
  return realm.service.kind === 'ldap'
}

function isProvider(realm: Realm): realm is Realm & { readonly service: OidcService } {
  return realm.service.kind === 'oidc'
}

function disabled({ name }: Realm): Failure {
  return failure('forbidden', `Nobody signs in by ${name} at present`, { hint: 'An administrator has disabled it' })
}

const BARRED = {
  disabled: 'your account is disabled',
  expired: 'your account has expired',
  'password-expired': 'your password has expired',
  'must-change-password': 'you must choose a new password first',
  'not-now': 'not at this time, or not from here',
} as const

const BARRED_HINT = 'Passwords and accounts of a realm are changed there, not here'

const NOT_BEGUN = failure('unauthorized', 'This sign-in was not begun here, or ten minutes ago', {
  hint: 'Begin it anew',
})
