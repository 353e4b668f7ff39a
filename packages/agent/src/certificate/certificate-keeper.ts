/**
 * Has an authority give the certificate of the web, and the next one in time. Done by the coordinator (a witness, which has
 * not the keys, leaves it to a host); how far it is lies in the store, and whoever coordinates next goes on there.
 * docs/internals/certificate.md.
 */
import { failure, hintOf, type Failure } from '@stead/core/errors.ts'
import type { EventDraft } from '@stead/core/ha/plan.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { EventWriter } from '@stead/core/host/event-writer.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { secretKeeper } from '@stead/core/model/vault.ts'
import {
  certificateStep,
  NO_PROGRESS,
  pauseAfterFailure,
  type CertificateProgress,
  type CertificateStep,
  type WantedCertificate,
} from '@stead/core/model/web-certificate.ts'
import type { Clock, Random } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { permittedBy } from '../outbound/outbound-guard.ts'
import { AcmeClient } from './acme-client.ts'
import { takeProofAway } from './certificate-proof.ts'
import { askForHint, begin, goOn, type Taken } from './certificate-steps.ts'
import { accountKey, currentPair, openedWish } from './held-keys.ts'

const LOOK_MS = 1_000
const SEEN_MS = 5_000
/** While an order is under way an authority that does not answer is asked again soon. */
const AGAIN_MS = 5_000
/** One that wants to be left alone for longer will not go on with this order. */
const AGAIN_MS_MAX = 10 * 60_000

export interface CertificateKeeperContext {
  readonly self: HostId
  readonly store: Store
  readonly mirror: ClusterMirror
  readonly events: Pick<EventWriter, 'writesFor'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export class CertificateKeeper {
  readonly #context: CertificateKeeperContext
  /** Signed in, for one wish: the authority is not asked again who it is for each step. */
  #signedIn: { readonly revision: bigint; readonly client: AcmeClient; readonly accountKeyPem: string } | undefined

  constructor(context: CertificateKeeperContext) {
    this.#context = context
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#context
    while (!signal.aborted) {
      await clock.sleep(LOOK_MS, signal)
      if (signal.aborted) return
      try {
        await this.look()
      } catch (error) {
        log.error('the certificate of the web cannot be looked after', { error })
      }
    }
  }

  /** One step, if one is due. */
  async look(): Promise<void> {
    const { mirror, self, clock, store, random, log } = this.#context
    // What is kept is compared with what this step began from: a wish that changes meanwhile has its own first step.
    const { state } = mirror
    if (!state.wantedCertificate || secretKeeper(state) !== self) return
    const progress = state.certificateProgress?.value ?? NO_PROGRESS
    const step = certificateStep(progress, clock.wallMs())
    if (step === 'rest') return
    const opened = await openedWish(store)
    if (!opened.ok || opened.value.revision !== state.wantedCertificate.revision) return
    const { wanted } = opened.value
    const taken = await this.#step(state, step, wanted, progress)
    const { order } = progress
    if (taken.ok) {
      const { given } = taken.value
      // The next one is weeks away: its directory, and where hosts may connect to, are looked at anew.
      if (!taken.value.progress.order) this.#signedIn = undefined
      await this.#record(state, taken.value, given ? givenEvent(wanted, given.notAfter) : undefined)
      if (given && order) await takeProofAway({ state, log }, wanted, order.challenges)
      return
    }
    this.#signedIn = undefined
    const { code, retryAfterMs = 0 } = taken.error
    // It is this host that cannot, and not for long.
    if (code === 'secrets_locked' || code === 'store_timeout') return
    if (order && code === 'host_unreachable' && retryAfterMs <= AGAIN_MS_MAX) {
      const lookAt = clock.wallMs() + Math.max(AGAIN_MS, retryAfterMs)
      return this.#record(state, { progress: { ...progress, order: { ...order, lookAt } }, writes: [] })
    }
    const failed = withFailure(progress, taken.error, clock.wallMs(), random.fraction())
    await this.#record(state, { progress: failed, writes: [] }, failedEvent(wanted, taken.error))
    if (order) await takeProofAway({ state, log }, wanted, order.challenges)
  }

  async #step(
    state: ClusterState,
    step: Exclude<CertificateStep, 'rest'>,
    wanted: WantedCertificate,
    progress: CertificateProgress,
  ): Promise<Result<Taken>> {
    const { store, clock, log } = this.#context
    if (step === 'give-up') return fail(GIVEN_UP)
    const account = await this.#account(state, wanted)
    if (!account.ok) return account
    const context = {
      ...{ store, wanted, clock, log, state, ...account.value },
      nowMs: clock.wallMs(),
    }
    if (step === 'go-on' && progress.order) return goOn(context, progress, progress.order)
    const pair = await currentPair(store)
    if (!pair.ok) return pair
    const current = pair.value?.certificate
    if (step === 'order' || current === undefined) return begin(context, progress, current)
    return ok(await askForHint(context, progress, current))
  }

  async #account(state: ClusterState, wanted: WantedCertificate) {
    const { store } = this.#context
    const revision = state.wantedCertificate?.revision ?? 0n
    if (this.#signedIn?.revision === revision) return ok(this.#signedIn)
    const key = await accountKey(store, wanted)
    if (!key.ok) return key
    const client = acmeClient(wanted, key.value, state)
    const signedIn = await client.signIn(wanted)
    if (!signedIn.ok) return signedIn
    this.#signedIn = { revision, client, accountKeyPem: key.value }
    return ok(this.#signedIn)
  }

  /** Only by whom still coordinates, of a wish that is as it was. */
  async #record(from: ClusterState, { progress, writes }: Omit<Taken, 'given'>, event?: EventDraft): Promise<void> {
    const { store, mirror, events, clock } = this.#context
    const { coordinator, wantedCertificate, certificateProgress } = from
    const outcome = await store.transact({
      compares: [
        { key: KEYS.coordinator, modRevision: coordinator?.revision ?? 0n },
        { key: KEYS.wantedCertificate, modRevision: wantedCertificate?.revision ?? 0n },
        { key: KEYS.certificateProgress, modRevision: certificateProgress?.revision ?? 0n },
      ],
      writes: [
        { kind: 'put', key: KEYS.certificateProgress, value: JSON.stringify(progress) },
        ...writes,
        ...(event ? events.writesFor([event]) : []),
      ],
    })
    if (!outcome.ok || !outcome.value.committed) return
    // The next look must find what this one has done.
    const { revision } = outcome.value
    const waiting = new AbortController()
    await mirror.until(() => mirror.revision >= revision, clock.sleep(SEEN_MS, waiting.signal))
    waiting.abort()
  }
}

export function acmeClient(
  { directoryUrl, authorityPem }: Pick<WantedCertificate, 'directoryUrl' | 'authorityPem'>,
  accountKeyPem: string,
  state: ClusterState,
): AcmeClient {
  return new AcmeClient({
    ...{ directoryUrl, accountKeyPem, guard: permittedBy(state) },
    ...(authorityPem === undefined ? {} : { ca: authorityPem }),
  })
}

const GIVEN_UP = failure('conflict', 'The authority has not come to an end with the order in half an hour', {
  hint: 'It is tried again by itself; `stead certificate show` says when',
})

function withFailure(
  before: CertificateProgress,
  error: Failure,
  nowMs: number,
  fraction: number,
): CertificateProgress {
  const { order: _, ...progress } = before
  const attempts = (progress.failing?.attempts ?? 0) + 1
  const isRefusal = error.code !== 'host_unreachable'
  const { retryAfterMs } = error
  const pause = pauseAfterFailure(
    { attempts, isRefusal, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
    fraction,
  )
  return {
    ...progress,
    failing: {
      ...{ since: progress.failing?.since ?? nowMs, attempts, nextAt: nowMs + pause },
      ...{ message: error.message, hint: hintOf(error) },
    },
  }
}

function givenEvent({ names }: WantedCertificate, notAfter: number): EventDraft {
  const until = new Date(notAfter).toISOString()
  const message = `there is a new certificate for ${names.join(', ')}, valid until ${until}`
  return { kind: 'certificate.given', subject: 'cluster', message, details: { until } }
}

function failedEvent({ names }: WantedCertificate, { message }: Failure): EventDraft {
  return { kind: 'certificate.failed', subject: 'cluster', message: `no certificate for ${names[0]}: ${message}` }
}
