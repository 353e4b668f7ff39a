/**
 * The certificate of the web that an authority gives by ACME (RFC 8555): what is wanted, how far it is, when the next
 * one is due. Pure. docs/internals/certificate.md.
 */
import type { ClusterState } from './cluster.ts'

export interface WantedCertificate {
  /** What it is for. */
  readonly names: readonly string[]
  /** The authority's directory, https. */
  readonly directoryUrl: string
  /** By which the directory's own certificate is known, PEM; one that every machine knows when absent. */
  readonly authorityPem?: string
  readonly email?: string
  /** With which the account is one that the authority knows from elsewhere. */
  readonly externalAccount?: { readonly keyId: string; readonly hmacKey: string }
  readonly proof: CertificateProof
  /** Its terms were agreed to: when, ms since 1970. */
  readonly agreedAt: number
}

/** How the authority sees that the names are ours. */
export type CertificateProof =
  /** It asks each name at port 80; `port` is what arrives there at the hosts. */
  | { readonly kind: 'http'; readonly port: number }
  /** It looks for a record, which is written into the zone by RFC 2136. */
  | {
      readonly kind: 'dns'
      readonly server: string
      readonly port: number
      /** Of the zone; found by asking the server when absent. */
      readonly zone?: string
      readonly keyName: string
      readonly algorithm: string
      readonly keySecret: string
      /** Until all servers of the zone have what one of them was told, ms. */
      readonly settleMs: number
    }

/** What was given, without its key. */
export interface GivenCertificate {
  /** SHA-256, lower-case hexadecimal. */
  readonly fingerprint: string
  readonly names: readonly string[]
  readonly issuer: string
  readonly notBefore: number
  readonly notAfter: number
}

/** One name's proof. `answer`: what the authority is to find. */
export interface CertificateChallenge {
  readonly name: string
  readonly token: string
  readonly answer: string
  /** Where the authority is told to look. */
  readonly url: string
}

export interface CertificateOrder {
  /** At the authority. */
  readonly url: string
  readonly finalizeUrl: string
  readonly begunAt: number
  readonly challenges: readonly CertificateChallenge[]
  /** The authority was told to look. */
  readonly told: boolean
  readonly lookAt: number
}

export interface CertificateProgress {
  readonly given?: GivenCertificate
  /** When the next one is due; 0: now. */
  readonly renewAt: number
  readonly order?: CertificateOrder
  /** The authority is asked whether it wants an earlier renewal (RFC 9773). */
  readonly hintAt?: number
  readonly failing?: {
    readonly since: number
    readonly attempts: number
    readonly nextAt: number
    readonly message: string
    readonly hint?: string
  }
}

export const NO_PROGRESS: CertificateProgress = { renewAt: 0 }

/** Authorities' own bound on proofs is mostly an hour or a week; nobody waits so long for the first. */
const ORDER_MS_MAX = 30 * 60_000
const DAY_MS = 86_400_000
const MINUTE_MS = 60_000
/** With so much of its life left somebody must look: a renewal had its third of the life by then. */
const WARNED_SHARE = 0.25

export type CertificateStep = 'rest' | 'order' | 'go-on' | 'give-up' | 'ask-for-hint'

export function certificateStep(progress: CertificateProgress, nowMs: number): CertificateStep {
  const { order, failing, renewAt, hintAt } = progress
  if (order) {
    if (nowMs - order.begunAt > ORDER_MS_MAX) return 'give-up'
    return nowMs >= order.lookAt ? 'go-on' : 'rest'
  }
  if (failing && nowMs < failing.nextAt) return 'rest'
  if (nowMs >= renewAt) return 'order'
  return hintAt !== undefined && nowMs >= hintAt ? 'ask-for-hint' : 'rest'
}

/**
 * At two thirds of its life, and up to a tenth of what is then left later, so that clusters that were set up together do
 * not come together. `window`: when the authority itself wants it, of which any moment will do. Which one is the same however
 * often it is asked: the certificate's own chance.
 */
export function renewalTime(
  { fingerprint, notBefore, notAfter }: Pick<GivenCertificate, 'fingerprint' | 'notBefore' | 'notAfter'>,
  window?: { readonly startMs: number; readonly endMs: number },
): number {
  const fraction = Number.parseInt(fingerprint.slice(0, 8), 16) / 2 ** 32
  const lifeMs = Math.max(notAfter - notBefore, 0)
  const latest = notBefore + lifeMs * (2 / 3 + fraction / 30)
  if (!window) return latest
  const wished = window.startMs + (window.endMs - window.startMs) * fraction
  // One that would have it renewed when it is over is not believed.
  return Math.min(wished, notAfter - lifeMs / 20)
}

/**
 * Until the next attempt. Authorities take five refused proofs of a name an hour: four quarters of one are below that.
 * One that could not be reached has refused nothing. What it asks for itself is never undercut. `fraction`: 0 to 1.
 */
export function pauseAfterFailure(
  { attempts, isRefusal, retryAfterMs = 0 }: { attempts: number; isRefusal: boolean; retryAfterMs?: number },
  fraction: number,
): number {
  const [first, most] = isRefusal ? [15 * MINUTE_MS, DAY_MS] : [MINUTE_MS, 60 * MINUTE_MS]
  const pause = Math.min(first * 2 ** Math.min(attempts - 1, 20), most)
  return Math.max(pause, retryAfterMs) * (1 + fraction / 10)
}

export type CertificateStanding = 'none' | 'ordering' | 'valid' | 'failing' | 'expired'

/** In one word; what matters most first. */
export function certificateStanding(
  { wantedCertificate, certificateProgress }: Pick<ClusterState, 'wantedCertificate' | 'certificateProgress'>,
  nowMs: number,
): CertificateStanding {
  if (!wantedCertificate) return 'none'
  const { given, failing, order } = certificateProgress?.value ?? NO_PROGRESS
  if (given && nowMs >= given.notAfter) return 'expired'
  if (failing) return 'failing'
  return order || !given ? 'ordering' : 'valid'
}

export function daysLeft({ notAfter }: Pick<GivenCertificate, 'notAfter'>, nowMs: number): number {
  return Math.max(0, Math.floor((notAfter - nowMs) / DAY_MS))
}

/** What an administrator should know, long before clients do. */
export function certificateWarning(
  state: Pick<ClusterState, 'wantedCertificate' | 'certificateProgress'>,
  nowMs: number,
): string | undefined {
  const standing = certificateStanding(state, nowMs)
  const { given, failing } = state.certificateProgress?.value ?? NO_PROGRESS
  const name = state.wantedCertificate?.value.names[0] ?? ''
  const why = failing ? `: ${failing.message}` : ''
  if (standing === 'expired') return `The certificate for ${name} has expired${why}`
  if (!given) return failing ? `There is no certificate for ${name} yet${why}` : undefined
  if (failing) return `The certificate for ${name} is not renewed, ${daysLeft(given, nowMs)} days are left${why}`
  const isLate = given.notAfter - nowMs < (given.notAfter - given.notBefore) * WARNED_SHARE
  return isLate && standing !== 'none'
    ? `The certificate for ${name} ends in ${daysLeft(given, nowMs)} days`
    : undefined
}
