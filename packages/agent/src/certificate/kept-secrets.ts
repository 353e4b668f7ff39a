/** The secrets of an order that does not say them: they are those that are kept of the same keys. */
import type { CERTIFICATE_ENDPOINTS } from '@stead/api/endpoints/certificate.ts'
import { failure, type Failure } from '@stead/core/errors.ts'
import type { CertificateProof, WantedCertificate } from '@stead/core/model/web-certificate.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { z } from 'zod'
import { openedWish } from './held-keys.ts'

type Order = z.output<(typeof CERTIFICATE_ENDPOINTS)['certificate.order']['body']>
type DnsProof = Extract<Order['proof'], { readonly kind: 'dns' }>

export async function withKeptSecrets(
  store: Pick<Store, 'get'>,
  order: Pick<Order, 'proof' | 'externalAccount' | 'directoryUrl'>,
): Promise<Result<Pick<WantedCertificate, 'proof' | 'externalAccount'>>> {
  const { proof, externalAccount } = order
  const lacksSecret = proof.kind === 'dns' && proof.keySecret === undefined
  const lacksKey = externalAccount !== undefined && externalAccount.hmacKey === undefined
  const opened = lacksSecret || lacksKey ? await openedWish(store) : undefined
  if (opened?.ok === false && opened.error.code !== 'not_found') return opened
  const kept = opened?.ok ? opened.value.wanted : undefined
  const proved: Result<CertificateProof> = proof.kind === 'dns' ? dnsProof(proof, kept?.proof) : ok(proof)
  if (!proved.ok) return proved
  if (!externalAccount) return ok({ proof: proved.value })
  const { keyId } = externalAccount
  const hmacKey = externalAccount.hmacKey ?? keptAccountKey(order.directoryUrl, keyId, kept)
  if (hmacKey === undefined) return fail(notKept(keyId))
  return ok({ proof: proved.value, externalAccount: { keyId, hmacKey } })
}

/** Never for another server: what was signed with the key could be tried against it there. */
function dnsProof(
  { zone, keySecret, ...proof }: DnsProof,
  kept: CertificateProof | undefined,
): Result<CertificateProof> {
  const isKept =
    kept?.kind === 'dns' &&
    (['server', 'port', 'keyName', 'algorithm'] as const).every((name) => kept[name] === proof[name])
  const secret = keySecret ?? (isKept ? kept.keySecret : undefined)
  if (secret === undefined) return fail(notKept(proof.keyName))
  return ok({ ...proof, keySecret: secret, ...(zone === undefined ? {} : { zone }) })
}

function keptAccountKey(directoryUrl: string, keyId: string, kept: WantedCertificate | undefined): string | undefined {
  const isSame = kept?.directoryUrl === directoryUrl && kept.externalAccount?.keyId === keyId
  return isSame ? kept.externalAccount?.hmacKey : undefined
}

function notKept(key: string): Failure {
  return failure('bad_request', `The secret of the key ${key} is not known here`, {
    hint: 'Give it once; it is kept from then on, and nobody can read it',
  })
}
