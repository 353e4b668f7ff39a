/** Tells the audit who has come in and how, and who was refused and why. Who is refused is not told why. */
import type { Principal } from '@stead/core/model/access.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { AuditWriter } from '../audit/audit-writer.ts'
import type { Visitor } from '../http/backend.ts'

export interface SignInAuditContext {
  readonly audit: Pick<AuditWriter, 'tell' | 'denied'>
  readonly log: Log
}

const WHAT = 'auth.sign-in'
const NOBODY: Principal = { kind: 'nobody' }
/** Names are typed by strangers. */
const NAME_LENGTH_MAX = 130

export class SignInAudit {
  readonly #context: SignInAuditContext

  constructor(context: SignInAuditContext) {
    this.#context = context
  }

  entered(user: string, visitor: Visitor, how: string): void {
    const { audit, log } = this.#context
    log.info('somebody has signed in', { user, address: visitor.address, how })
    const principal: Principal = { kind: 'user', name: user }
    audit.tell({ principal, visitor }, { kind: 'action', what: WHAT, subject: `user/${user}`, message: how })
  }

  refused(user: string, visitor: Visitor, because: string): void {
    this.#denied(`user/${user.slice(0, NAME_LENGTH_MAX)}`, visitor, because)
  }

  /** Before it was known who it is. */
  refusedByRealm(realm: string, visitor: Visitor, because: string, cause: unknown): void {
    this.#denied(`realm/${realm}`, visitor, because, cause)
  }

  #denied(subject: string, visitor: Visitor, because: string, cause?: unknown): void {
    const { audit, log } = this.#context
    log.warn('a sign-in was refused', {
      subject,
      address: visitor.address,
      because,
      ...(cause === undefined ? {} : { cause }),
    })
    audit.denied({ principal: NOBODY, visitor }, { what: WHAT, subject, message: because })
  }
}
