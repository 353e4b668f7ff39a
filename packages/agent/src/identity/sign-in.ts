/** Signing in: password, session. What is refused never says which part was wrong. docs/internals/access.md. */
import type { SignInView } from '@stead/api/endpoints/sign-in.ts'
import { clientAddress } from '@stead/core/access/client-address.ts'
import { lapsedBecause } from '@stead/core/access/decide.ts'
import { demandsSecondFactor, type SecondFactorMethod } from '@stead/core/access/second-factor.ts'
import { SignInThrottle, type Attempt } from '@stead/core/access/sign-in-throttle.ts'
import { failure } from '@stead/core/errors.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { Principal, SessionDuty, SignInSession } from '@stead/core/model/access.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Compare, Store } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { accessRecordsOf } from '../access/access-records.ts'
import { DEVICE_COOKIE, DEVICE_COOKIE_LIFE_S, SESSION_COOKIE } from '../http/cookies.ts'
import type { Visitor } from '../http/backend.ts'
import type { ClusterKey } from './cluster-key.ts'
import { DeviceKeys } from './device-keys.ts'
import { putPending, tryPending, type PendingSignIn } from './pending-sign-ins.ts'
import { checkedPassword, WRONG_PASSWORD } from './checked-password.ts'
import { noPasswordHere, Passwords, type RightPassword } from './passwords.ts'
import type { KeyOwner, KeySignIn, ShownKey } from './key-sign-in.ts'
import type { RealmGuest, RealmSignIn } from './realms/realm-sign-in.ts'
import {
  afterCode,
  afterRecoveryCode,
  methodsOf,
  putFactors,
  readFactors,
  type KeptFactors,
  type SecondFactors,
} from './second-factors.ts'
import type { SignInAudit } from './sign-in-audit.ts'
import {
  keptElsewhere,
  ONLY_SIGNED_IN,
  tooOften,
  WRONG,
  WRONG_CODE,
  WRONG_KEY,
  WRONG_PRESENT_PASSWORD,
} from './sign-in-refusals.ts'
import { endingOld, forgeryToken, type NewSession, type Sessions } from './sessions.ts'

export interface SignInContext {
  readonly store: Pick<Store, 'get' | 'transact' | 'grantLease'>
  readonly mirror: ClusterMirror
  readonly clock: Clock
  readonly told: SignInAudit
  readonly sessions: Sessions
  readonly key: ClusterKey
  readonly realms: Pick<RealmSignIn, 'checkPassword'>
  readonly keys: Pick<KeySignIn, 'afterFactor'>
}

export interface Credentials {
  readonly user: string
  readonly password: string
  readonly form: SignInSession['form']
  readonly device?: string | undefined
}

export interface ShownFactor {
  readonly pending: string
  readonly code?: string | undefined
  readonly recoveryCode?: string | undefined
  readonly key?: ShownKey | undefined
}

export interface OwnSession {
  readonly user: string
  readonly digest: string
  readonly session: SignInSession
  /** One that is ended meanwhile gives no new one. */
  readonly unended: Compare
}

/** A password that was right, and how it was shown. */
interface Shown extends Pick<PendingSignIn, 'user' | 'form'> {
  readonly right: RightPassword
  readonly attempt: Attempt | undefined
}

export class SignIn {
  readonly #context: SignInContext
  readonly #throttle = new SignInThrottle()
  readonly #devices: DeviceKeys
  readonly #passwords: Passwords

  constructor(context: SignInContext) {
    this.#context = context
    this.#devices = new DeviceKeys(context.key)
    this.#passwords = new Passwords(context)
  }

  async withPassword(credentials: Credentials, visitor: Visitor): Promise<Result<SignInView>> {
    const { form } = credentials
    const device = credentials.device ?? visitor.device
    const checked = await this.#check(credentials.user, credentials.password, device, visitor)
    if (!checked.ok) return checked
    const { right, attempt, user, wrong } = checked.value
    const lapsed = this.#lapsed(user)
    if (!right || lapsed !== undefined) {
      this.#context.told.refused(user, visitor, (right && lapsed) ?? wrong)
      return fail(WRONG)
    }
    const how = right.oneTime ? 'by a one-time password' : 'by the password'
    return this.#goOn({ user, form, right, attempt, how, asksForFactor: true }, visitor)
  }

  /** Who has shown to an OpenID realm who he is. */
  async withRealm({ user, form, hasSecondFactor }: RealmGuest, visitor: Visitor): Promise<Result<SignInView>> {
    const lapsed = this.#lapsed(user)
    if (lapsed !== undefined) this.#context.told.refused(user, visitor, lapsed)
    if (lapsed !== undefined) return fail(failure('forbidden', `${user} counts no more here: ${lapsed}`))
    const right = noPasswordHere(user)
    const shown = { user, form, right, attempt: undefined, how: 'by the realm' }
    return this.#goOn({ ...shown, asksForFactor: !hasSecondFactor }, visitor)
  }

  async #goOn(
    {
      user,
      form,
      right,
      attempt,
      how,
      asksForFactor,
    }: Shown & { readonly how: string; readonly asksForFactor: boolean },
    visitor: Visitor,
  ): Promise<Result<SignInView>> {
    const { store, clock } = this.#context
    const kept = await readFactors(store, user)
    if (!kept.ok) return kept
    const methods = asksForFactor ? methodsOf(kept.value.factors) : []
    if (methods.length > 0) return this.#await(methods, { user, form, right, attempt })
    if (attempt) this.#throttle.succeeded(attempt, clock.monotonicMs())
    const duty = asksForFactor ? this.#dutyOf(user, kept.value.factors) : undefined
    const must = right.oneTime ? 'change-password' : duty
    return this.#enter(
      how,
      {
        ...{ user, form, writes: right.writes, ...(must ? { must } : {}) },
        // A factor that is added in this moment is asked for.
        compares: [right.unchanged, kept.value.unchanged],
        ...endingOld(visitor),
      },
      visitor,
      // Who comes by an OpenID realm types no password here that somebody could guess.
      attempt === undefined ? !right.oneTime : attempt.device !== undefined,
    )
  }

  /** What is still to come after a password that was right. */
  async withSecondFactor(shown: ShownFactor, visitor: Visitor): Promise<Result<SignInView>> {
    const { store, clock } = this.#context
    const opened = await tryPending(store, shown.pending, clock.wallMs())
    if (!opened.ok) return opened
    const { pending, compares, writes } = opened.value
    const { user, form, attempt, must: first } = pending
    const waitMs = attempt ? this.#throttle.begin(attempt, clock.monotonicMs()) : 0
    if (waitMs > 0) return this.#slowedDown(user, visitor, waitMs)
    const kept = await readFactors(store, user)
    if (!kept.ok) {
      if (attempt) this.#throttle.undo(attempt, clock.monotonicMs())
      return kept
    }
    const { unchanged } = kept.value
    const shownRight = await this.#afterFactor(kept.value, shown, visitor)
    if (!shownRight.ok) return shownRight
    const after = shownRight.value
    const lapsed = this.#lapsed(user)
    if (!after || lapsed !== undefined) {
      this.#context.told.refused(user, visitor, lapsed ?? 'the code is wrong')
      return fail(WRONG_CODE)
    }
    if (attempt) this.#throttle.succeeded(attempt, clock.monotonicMs())
    const must = first ?? this.#dutyOf(user, after)
    return this.#enter(
      `by a second factor: ${shown.key ? 'security key' : shown.code === undefined ? 'recovery code' : 'app'}`,
      {
        ...{ user, form, ...(must ? { must } : {}), ...endingOld(visitor) },
        compares: [...compares, unchanged],
        writes: [...writes, putFactors(user, after)],
      },
      visitor,
      attempt?.device !== undefined,
    )
  }

  /** Undefined: what was shown is not right. */
  async #afterFactor(kept: KeptFactors, { pending, code, recoveryCode, key }: ShownFactor, visitor: Visitor) {
    if (key) return this.#context.keys.afterFactor(kept, pending, key, visitor)
    if (code !== undefined) return ok(afterCode(kept.factors, code, this.#context.clock.wallMs()))
    return ok(afterRecoveryCode(kept.factors, recoveryCode ?? ''))
  }

  /** By a key alone, which has asked for his PIN or finger: that is two factors. */
  async withKey(
    owner: KeyOwner | undefined,
    form: SignInSession['form'],
    visitor: Visitor,
  ): Promise<Result<SignInView>> {
    const { user = '' } = owner ?? {}
    // Of a realm's users the realm must be asked.
    const lapsed = user.includes('@') ? 'his realm was not asked' : this.#lapsed(user)
    if (!owner || lapsed !== undefined) {
      this.#context.told.refused(user, visitor, lapsed ?? 'the key is not known')
      return fail(WRONG_KEY)
    }
    const writes = [...owner.writes, putFactors(user, owner.after)]
    const wanted = { user, form, compares: owner.compares, writes, ...endingOld(visitor) }
    return this.#enter('by a security key alone', wanted, visitor, true)
  }

  /** Instead of the session by which he comes, a new one: his rights have grown, or what proves who he is has changed. */
  async renew(
    own: OwnSession,
    visitor: Visitor,
    more: Pick<NewSession, 'compares' | 'writes'>,
    factors: SecondFactors,
  ) {
    const must = own.session.must === 'change-password' ? own.session.must : this.#dutyOf(own.user, factors)
    return this.#begin(
      {
        ...{ user: own.user, form: own.session.form, replaces: [own.digest], ...(must ? { must } : {}) },
        ...{ compares: [own.unended, ...(more.compares ?? [])], writes: more.writes ?? [] },
      },
      visitor,
      true,
    )
  }

  async #await(methods: SecondFactorMethod[], { user, form, right, attempt }: Shown): Promise<Result<SignInView>> {
    const { store, clock } = this.#context
    // The code is counted as a try of its own.
    if (attempt) this.#throttle.undo(attempt, clock.monotonicMs())
    let revision = right.unchanged.modRevision
    if (right.oneTime) {
      const used = await store.transact({ compares: [right.unchanged], writes: right.writes })
      if (!used.ok) return used
      if (!used.value.committed) return fail(WRONG)
      revision = used.value.revision
    }
    const pending = await putPending(
      store,
      {
        ...{ user, form, passwordRevision: String(revision) },
        ...(attempt ? { attempt } : {}),
        ...(right.oneTime ? { must: 'change-password' as const } : {}),
      },
      clock.wallMs(),
    )
    if (!pending.ok) return pending
    return ok({
      ...{ state: 'second-factor', user, pending: pending.value, methods },
      ...{ expiresAt: null, must: null, token: null, device: null, forgeryToken: null },
    })
  }

  #dutyOf(user: string, factors: SecondFactors): SessionDuty | undefined {
    const isDemanded = demandsSecondFactor(accessRecordsOf(this.#context.mirror.state), user)
    return isDemanded && methodsOf(factors).length === 0 ? 'add-second-factor' : undefined
  }

  /** By who knows the present one. All his sessions end, and he gets a new one. */
  async changePassword(
    principal: Principal,
    { current, next }: { readonly current?: string | undefined; readonly next: string },
    visitor: Visitor,
  ): Promise<Result<SignInView>> {
    const { store, sessions, clock } = this.#context
    const own = this.ownSession(principal)
    if (!own.ok) return own
    const { user, session, unended } = own.value
    if (user.includes('@')) return fail(keptElsewhere(user))
    const normal = await this.#passwords.acceptable(next, user)
    if (!normal.ok) return normal
    let right: RightPassword | undefined
    // Who came with a one-time password has shown it: it is used up.
    if (session.must !== 'change-password') {
      const checked = await this.#check(user, current ?? '', visitor.device, visitor)
      if (!checked.ok) return checked
      if (!checked.value.right) return fail(WRONG_PRESENT_PASSWORD)
      if (checked.value.attempt) this.#throttle.succeeded(checked.value.attempt, clock.monotonicMs())
      right = checked.value.right
      if (current === next) return fail(failure('bad_request', 'The new password is the present one'))
    }
    const kept = await readFactors(store, user)
    if (!kept.ok) return kept
    const must = this.#dutyOf(user, kept.value.factors)
    const write = await this.#passwords.change(user, normal.value, clock.wallMs())
    if (!write.ok) return write
    return this.#begin(
      {
        ...{
          user,
          form: session.form,
          ...(must ? { must } : {}),
          writes: [write.value],
          compares: [unended, ...(right ? [right.unchanged] : [])],
        },
        replaces: sessions.ofUser(user).map(([digest]) => digest),
      },
      visitor,
      true,
    )
  }

  /** By which a person comes who has signed in. */
  ownSession(principal: Principal): Result<OwnSession> {
    if (principal.kind !== 'user' || principal.session === undefined) return fail(ONLY_SIGNED_IN)
    const record = this.#context.mirror.state.sessions.get(principal.session)
    if (!record) return fail(ONLY_SIGNED_IN)
    return ok({
      ...{ user: principal.name, digest: principal.session, session: record.value },
      unended: { key: KEYS.session(principal.session), modRevision: record.revision },
    })
  }

  /** Counted before it is looked at, so that many at once are no way around. */
  async #check(user: string, password: string, device: string | undefined, visitor: Visitor) {
    const { clock } = this.#context
    if (Passwords.isOneTime(password)) {
      const right = await this.#passwords.check(user, password, false, clock.wallMs())
      return right.ok
        ? ok({ right: right.value, attempt: undefined, user, wrong: this.#lapsed(user) ?? WRONG_PASSWORD })
        : right
    }
    const known = await this.#devices.idOf(user, device)
    if (!known.ok) return known
    const attempt: Attempt = {
      ...{ user, address: clientAddress(visitor.address) },
      ...(known.value === undefined ? {} : { device: known.value }),
    }
    const waitMs = this.#throttle.begin(attempt, clock.monotonicMs())
    if (waitMs > 0) return this.#slowedDown(user, visitor, waitMs)
    const presented = { user, password, first: known.value !== undefined }
    const whose = { ...this.#context, passwords: this.#passwords, lapsed: (name: string) => this.#lapsed(name) }
    const checked = await checkedPassword(whose, presented, visitor)
    if (checked.ok) return ok({ ...checked.value, attempt })
    this.#throttle.undo(attempt, clock.monotonicMs())
    return checked
  }

  #slowedDown(user: string, visitor: Visitor, waitMs: number): Result<never> {
    this.#context.told.refused(user, visitor, `too many have failed: ${Math.ceil(waitMs / 1_000)} s to wait`)
    return fail(tooOften(waitMs))
  }

  #lapsed(user: string): string | undefined {
    const { mirror, clock } = this.#context
    return lapsedBecause(accessRecordsOf(mirror.state), { kind: 'user', name: user }, clock.wallMs())
  }

  async #enter(how: string, wanted: Omit<NewSession, 'address' | 'client'>, visitor: Visitor, deviceIsKnown: boolean) {
    const begun = await this.#begin(wanted, visitor, deviceIsKnown)
    if (begun.ok) this.#context.told.entered(wanted.user, visitor, how)
    return begun
  }

  async #begin(
    wanted: Omit<NewSession, 'address' | 'client'>,
    visitor: Visitor,
    deviceIsKnown: boolean,
  ): Promise<Result<SignInView>> {
    const { sessions, clock } = this.#context
    const { form, user } = wanted
    if (form === 'cookie' && !visitor.setCookie)
      return fail(failure('bad_request', 'Cookies are for the public port; here the session is a token'))
    const device = deviceIsKnown ? ok(undefined) : await this.#devices.give(user)
    if (!device.ok) return device
    const begun = await sessions.begin({ ...wanted, address: visitor.address, client: visitor.client })
    if (!begun.ok) return begun
    const { secret, session } = begun.value
    if (form === 'cookie') {
      visitor.setCookie?.(SESSION_COOKIE, secret, Math.floor((session.expiresAt - clock.wallMs()) / 1_000))
      if (device.value !== undefined) visitor.setCookie?.(DEVICE_COOKIE, device.value, DEVICE_COOKIE_LIFE_S)
    }
    return ok({
      ...{ state: 'signed-in', pending: null, methods: [] },
      user,
      expiresAt: new Date(session.expiresAt).toISOString(),
      must: session.must ?? null,
      token: form === 'token' ? secret : null,
      device: form === 'token' ? (device.value ?? null) : null,
      forgeryToken: form === 'cookie' ? forgeryToken(secret) : null,
    })
  }
}
