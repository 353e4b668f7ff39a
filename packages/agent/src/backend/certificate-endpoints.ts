/** The certificate of the web from an authority: wanted, renewed, given up. What gets it is `certificate/certificate-keeper.ts`. */
import type { CertificateView } from '@stead/api/endpoints/certificate.ts'
import { failure } from '@stead/core/errors.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import {
  certificateStanding,
  daysLeft,
  NO_PROGRESS,
  type CertificateProgress,
  type WantedCertificate,
} from '@stead/core/model/web-certificate.ts'
import type { Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { newKey } from '../certificate/acme-signature.ts'
import { acmeClient } from '../certificate/certificate-keeper.ts'
import { accountKey, allForgotten, currentPair, openedWish, ORDER_HINT } from '../certificate/held-keys.ts'
import { withKeptSecrets } from '../certificate/kept-secrets.ts'
import type { ApiBackend, RequestContext } from '../http/backend.ts'
import { put } from './access-change.ts'
import type { Change } from './change.ts'
import type { Desk } from './desk.ts'

type Answers = Pick<ApiBackend, `certificate.${'show' | 'look' | 'order' | 'renew' | 'forget'}`>

const NONE = failure('not_found', 'No authority is asked for a certificate', { hint: ORDER_HINT })

export function certificateEndpoints(desk: Desk): Answers {
  const { clock, store } = desk.context
  const begun = async (request: RequestContext, make: () => Result<Change>) => {
    const operation = await desk.change(request, make)
    return operation.ok ? ok(await desk.started(operation.value)) : operation
  }
  return {
    'certificate.show': async () => desk.loaded((state) => ok(certificateView(state, clock.wallMs()))),
    'certificate.look': async ({ body: { directoryUrl, authorityPem } }) => {
      const asked = { directoryUrl, ...(authorityPem === undefined ? {} : { authorityPem }) }
      const found = await acmeClient(asked, newKey(), desk.state).directory()
      if (!found.ok) return found
      const { termsOfService = null, website = null, externalAccountRequired = false } = found.value.meta
      return ok({ termsOfService, website, demandsExternalAccount: externalAccountRequired })
    },
    'certificate.order': async ({ body }, request) => {
      const secrets = await withKeptSecrets(store, body)
      if (!secrets.ok) return secrets
      return begun(request, () => {
        const names = [...new Set(body.names)]
        if (body.proof.kind === 'http' && names.some((name) => name.startsWith('*')))
          return fail(
            failure('bad_request', 'A name with a star in it can be proved by DNS alone', {
              hint: '--dns-server and --dns-key-name',
            }),
          )
        const { proof, externalAccount } = secrets.value
        const wanted: WantedCertificate = {
          ...{ names, directoryUrl: body.directoryUrl, agreedAt: clock.wallMs() },
          proof,
          ...(body.authorityPem === undefined ? {} : { authorityPem: body.authorityPem }),
          ...(body.email === undefined ? {} : { email: body.email }),
          ...(externalAccount === undefined ? {} : { externalAccount }),
        }
        return ok(changeOf('certificate.order', desk.state, [put(KEYS.wantedCertificate, wanted), dueNow(desk.state)]))
      })
    },
    'certificate.renew': async (_, request) =>
      begun(request, () =>
        desk.state.wantedCertificate ? ok(changeOf('certificate.renew', desk.state, [dueNow(desk.state)])) : fail(NONE),
      ),
    'certificate.forget': async ({ query: { revoke } }, request) => {
      // One that is sent again finds nothing to revoke, and has its first answer below.
      if (revoke === true && desk.state.wantedCertificate) {
        const revoked = await revokeCurrent(desk)
        if (!revoked.ok) return revoked
      }
      const made = await desk.change(request, () => {
        const { wantedCertificate } = desk.state
        if (!wantedCertificate) return fail(NONE)
        const change = changeOf('certificate.forget', desk.state, allForgotten())
        const [name = ''] = wantedCertificate.value.names
        const message = `the authority has revoked the certificate for ${name}`
        return ok({
          ...change,
          events: revoke === true ? [{ kind: 'certificate.revoked', subject: 'cluster', message }] : [],
        })
      })
      if (!made.ok) return made
      await desk.started(made.value)
      return ok()
    },
  }

  async function revokeCurrent({ state }: Desk): Promise<Result<void>> {
    const opened = await openedWish(store)
    if (!opened.ok) return opened
    const { wanted } = opened.value
    const [pair, key] = [await currentPair(store), await accountKey(store, wanted)]
    if (!pair.ok) return pair
    if (!key.ok) return key
    if (!pair.value) return fail(failure('conflict', 'There is no certificate yet that could be revoked'))
    const client = acmeClient(wanted, key.value, state)
    const signedIn = await client.signIn(wanted)
    return signedIn.ok ? client.revoke(pair.value.certificate) : signedIn
  }
}

/** Whoever has mended something need not wait until its turn comes again. */
function dueNow({ certificateProgress }: ClusterState): Write {
  const { order: _, failing: _over, ...rest } = certificateProgress?.value ?? NO_PROGRESS
  const progress: CertificateProgress = { ...rest, renewAt: 0 }
  return put(KEYS.certificateProgress, progress)
}

function changeOf(kind: string, state: ClusterState, writes: readonly Write[]): Change {
  const compares = [
    { key: KEYS.wantedCertificate, modRevision: state.wantedCertificate?.revision ?? 0n },
    { key: KEYS.certificateProgress, modRevision: state.certificateProgress?.revision ?? 0n },
  ]
  return { kind, subject: 'cluster', compares, writes, events: [] }
}

function certificateView(state: ClusterState, nowMs: number): CertificateView {
  const { wantedCertificate, certificateProgress } = state
  const { given, failing, renewAt } = certificateProgress?.value ?? NO_PROGRESS
  const iso = (wallMs: number) => new Date(wallMs).toISOString()
  return {
    standing: certificateStanding(state, nowMs),
    wanted: wantedCertificate ? wantedView(wantedCertificate.value) : null,
    given: given
      ? {
          ...{ names: [...given.names], issuer: given.issuer, fingerprint: given.fingerprint },
          ...{ notBefore: iso(given.notBefore), notAfter: iso(given.notAfter), daysLeft: daysLeft(given, nowMs) },
        }
      : null,
    renewAt: renewAt === 0 ? null : iso(renewAt),
    failing: failing
      ? {
          ...{ since: iso(failing.since), attempts: failing.attempts, nextAt: iso(failing.nextAt) },
          ...{ message: failing.message, hint: failing.hint ?? null },
        }
      : null,
    revision: String(wantedCertificate?.revision ?? 0n),
  }
}

function wantedView(wanted: WantedCertificate): CertificateView['wanted'] {
  const { names, directoryUrl, authorityPem, email = null, externalAccount, proof, agreedAt } = wanted
  return {
    ...{ names: [...names], directoryUrl, authorityPem: authorityPem ?? null, email },
    externalAccount: externalAccount?.keyId ?? null,
    proof: shownProof(proof),
    agreedAt: new Date(agreedAt).toISOString(),
  }
}

function shownProof(proof: WantedCertificate['proof']): NonNullable<CertificateView['wanted']>['proof'] {
  if (proof.kind === 'http') return { kind: 'http', port: proof.port }
  const { server, port, zone = null, keyName, algorithm, settleMs } = proof
  return { kind: 'dns', server, port, zone, keyName, algorithm, settleMs }
}
