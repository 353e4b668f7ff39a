/** Signing in: password, session. What is refused never says which part was wrong. docs/internals/access.md. */
import type { SignInView } from '@stead/api/endpoints/sign-in.ts'
import { clientAddress } from '@stead/core/access/client-address.ts'
import { lapsedBecause } from '@stead/core/access/decide.ts'
import { checkPassword } from '@stead/core/access/password-rules.ts'
import { SignInThrottle, type Attempt } from '@stead/core/access/sign-in-throttle.ts'
import { failure, type Failure } from '@stead/core/errors.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { Principal, SessionDuty, SignInSession } from '@stead/core/model/access.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Compare, Store } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { accessRecordsOf } from '../access/access-records.ts'
import { DEVICE_COOKIE, DEVICE_COOKIE_LIFE_S, SESSION_COOKIE } from '../http/cookies.ts'
import type { Visitor } from '../http/backend.ts'
import { DeviceKeys } from './device-keys.ts'
import { Passwords, type RightPassword } from './passwords.ts'
import { forgeryToken, sessionDigest, type NewSession, type Sessions } from './sessions.ts'

export interface SignInContext {
  readonly store: Pick<Store, 'get' | 'transact'>
  readonly mirror: ClusterMirror
  readonly clock: Clock
  readonly log: Log
  readonly sessions: Sessions
}

export interface Credentials {
  readonly user: string
  readonly password: string
  readonly form: SignInSession['form']
  readonly device?: string | undefined
}

export class SignIn {
  readonly #context: SignInContext
  readonly #throttle = new SignInThrottle()
  readonly #devices: DeviceKeys
  readonly #passwords: Passwords

  constructor(context: SignInContext) {
    this.#context = context
    this.#devices = new DeviceKeys(context.store)
    this.#passwords = new Passwords(context.store)
  }

  async withPassword(credentials: Credentials, visitor: Visitor): Promise<Result<SignInView>> {
    const { user, form } = credentials
    const { clock, log } = this.#context
    const checked = await this.#check(user, credentials.password, credentials.device ?? visitor.device, visitor)
    if (!checked.ok) return checked
    const { right, attempt } = checked.value
    const lapsed = this.#lapsed(user)
    if (!right || lapsed !== undefined) {
      log.warn('a sign-in was refused', { user, address: visitor.address, because: lapsed ?? 'the password is wrong' })
      return fail(WRONG)
    }
    if (attempt) this.#throttle.succeeded(attempt, clock.monotonicMs())
    const must: SessionDuty | undefined = right.oneTime ? 'change-password' : undefined
    return this.#begin(
      {
        ...{ user, form, compares: [right.unchanged], writes: right.writes, ...(must ? { must } : {}) },
        // Whatever the browser came with ends: nobody can have given it a session beforehand.
        ...(visitor.session === undefined ? {} : { replaces: [sessionDigest(visitor.session)] }),
      },
      visitor,
      attempt?.device !== undefined,
    )
  }

  /** By who knows the present one. All his sessions end, and he gets a new one. */
  async changePassword(
    principal: Principal,
    { current, next }: { readonly current?: string | undefined; readonly next: string },
    visitor: Visitor,
  ): Promise<Result<SignInView>> {
    const { sessions, mirror, clock } = this.#context
    if (principal.kind !== 'user' || principal.session === undefined) return fail(ONLY_SIGNED_IN)
    const { name: user } = principal
    const record = mirror.state.sessions.get(principal.session)
    if (!record) return fail(ONLY_SIGNED_IN)
    const session = record.value
    // One that is ended meanwhile gives no new one.
    const unended: Compare = { key: KEYS.session(principal.session), modRevision: record.revision }
    const normal = checkPassword(next, user)
    if (!normal.ok) return normal
    let right: RightPassword | undefined
    // Who came with a one-time password has shown it: it is used up.
    if (session.must !== 'change-password') {
      const checked = await this.#check(user, current ?? '', visitor.device, visitor)
      if (!checked.ok) return checked
      if (!checked.value.right) return fail(failure('forbidden', 'The present password is not right', AGAIN))
      if (checked.value.attempt) this.#throttle.succeeded(checked.value.attempt, clock.monotonicMs())
      right = checked.value.right
      if (current === next) return fail(failure('bad_request', 'The new password is the present one'))
    }
    const write = await this.#passwords.change(user, normal.value, clock.wallMs())
    if (!write.ok) return write
    return this.#begin(
      {
        ...{
          user,
          form: session.form,
          writes: [write.value],
          compares: [unended, ...(right ? [right.unchanged] : [])],
        },
        replaces: sessions.ofUser(user).map(([digest]) => digest),
      },
      visitor,
      true,
    )
  }

  /** Counted before it is looked at, so that many at once are no way around. */
  async #check(user: string, password: string, device: string | undefined, visitor: Visitor) {
    const { clock } = this.#context
    if (Passwords.isOneTime(password)) {
      const right = await this.#passwords.check(user, password, false, clock.wallMs())
      return right.ok ? ok({ right: right.value, attempt: undefined }) : right
    }
    const known = await this.#devices.idOf(user, device)
    if (!known.ok) return known
    const attempt: Attempt = {
      ...{ user, address: clientAddress(visitor.address) },
      ...(known.value === undefined ? {} : { device: known.value }),
    }
    const waitMs = this.#throttle.begin(attempt, clock.monotonicMs())
    if (waitMs > 0) return fail(tooOften(waitMs))
    const right = await this.#passwords.check(user, password, known.value !== undefined, clock.wallMs())
    if (right.ok) return ok({ right: right.value, attempt })
    this.#throttle.undo(attempt, clock.monotonicMs())
    return right
  }

  #lapsed(user: string): string | undefined {
    const { mirror, clock } = this.#context
    return lapsedBecause(accessRecordsOf(mirror.state), { kind: 'user', name: user }, clock.wallMs())
  }

  async #begin(
    wanted: Omit<NewSession, 'address' | 'client'>,
    visitor: Visitor,
    deviceIsKnown: boolean,
  ): Promise<Result<SignInView>> {
    const { sessions, clock, log } = this.#context
    const { form, user } = wanted
    if (form === 'cookie' && !visitor.setCookie)
      return fail(failure('bad_request', 'Cookies are for the public port; here the session is a token'))
    const device = deviceIsKnown ? ok(undefined) : await this.#devices.give(user)
    if (!device.ok) return device
    const begun = await sessions.begin({ ...wanted, address: visitor.address, client: visitor.client })
    if (!begun.ok) return begun
    const { secret, session } = begun.value
    log.info('somebody has signed in', { user, address: visitor.address })
    if (form === 'cookie') {
      visitor.setCookie?.(SESSION_COOKIE, secret, Math.floor((session.expiresAt - clock.wallMs()) / 1_000))
      if (device.value !== undefined) visitor.setCookie?.(DEVICE_COOKIE, device.value, DEVICE_COOKIE_LIFE_S)
    }
    return ok({
      user,
      expiresAt: new Date(session.expiresAt).toISOString(),
      must: session.must ?? null,
      token: form === 'token' ? secret : null,
      device: form === 'token' ? (device.value ?? null) : null,
      forgeryToken: form === 'cookie' ? forgeryToken(secret) : null,
    })
  }
}

const AGAIN = { hint: 'Type it again; if it is lost, an administrator can give you a one-time password' }
const WRONG: Failure = failure('unauthorized', 'The user or the password is not right', AGAIN)
const ONLY_SIGNED_IN = failure('forbidden', 'This is for people who have signed in themselves', {
  hint: 'Sign in with `stead login`; an API token or root of a host cannot do it for somebody',
})

function tooOften(waitMs: number): Failure {
  const hint = 'Wait; sign in on a device that you have used before; or ask an administrator for a one-time password'
  return failure('too_many_requests', 'Too many sign-ins have failed from here', { hint, retryAfterMs: waitMs })
}
