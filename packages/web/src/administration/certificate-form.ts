/** What is filled in for a certificate of the web, and the request that it becomes. Pure. */
import type { CallInput } from '@stead/api/endpoint.ts'
import { LETS_ENCRYPT, TSIG_ALGORITHMS, type CertificateView } from '@stead/api/endpoints/certificate.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { complaintOf } from '../parts/schema-complaint.ts'

const SECOND_MS = 1_000

export interface CertificateForm {
  readonly names: string
  readonly directoryUrl: string
  readonly authorityPem: string
  readonly email: string
  readonly keyId: string
  readonly hmacKey: string
  readonly kind: 'http' | 'dns'
  readonly httpPort: number
  readonly server: string
  readonly dnsPort: number
  readonly zone: string
  readonly keyName: string
  readonly algorithm: (typeof TSIG_ALGORITHMS)[number]
  readonly keySecret: string
  readonly settleSeconds: number
  readonly agreesToTerms: boolean
  /** There is an order, with keys that nobody can read: of the same ones nothing need be typed. */
  readonly keepsKeys: boolean
}

type Order = CallInput<(typeof ENDPOINTS)['certificate.order']>['body']

export function formOfCertificate({ wanted }: Pick<CertificateView, 'wanted'>): CertificateForm {
  const { proof } = wanted ?? {}
  const dns = proof?.kind === 'dns' ? proof : undefined
  const known = TSIG_ALGORITHMS.find((one) => one === dns?.algorithm)
  return {
    ...{ names: wanted?.names.join('\n') ?? '', directoryUrl: wanted?.directoryUrl ?? LETS_ENCRYPT },
    ...{ authorityPem: wanted?.authorityPem ?? '', keepsKeys: wanted !== null },
    ...{ email: wanted?.email ?? '', keyId: wanted?.externalAccount ?? '', hmacKey: '', kind: proof?.kind ?? 'http' },
    ...{ httpPort: proof?.kind === 'http' ? proof.port : 80, server: dns?.server ?? '', dnsPort: dns?.port ?? 53 },
    ...{ zone: dns?.zone ?? '', keyName: dns?.keyName ?? '', algorithm: known ?? 'hmac-sha256', keySecret: '' },
    ...{ settleSeconds: (dns?.settleMs ?? 15 * SECOND_MS) / SECOND_MS, agreesToTerms: false },
  }
}

export function authorityOf({ directoryUrl, authorityPem }: CertificateForm) {
  const pem = authorityPem.trim()
  return { directoryUrl: directoryUrl.trim(), ...(pem === '' ? {} : { authorityPem: `${pem}\n` }) }
}

export function orderOf(form: CertificateForm): Order {
  const { email, keyId, zone, settleSeconds, keepsKeys } = form
  const key = <Name extends 'hmacKey' | 'keySecret'>(name: Name) =>
    (keepsKeys && form[name].trim() === '' ? {} : { [name]: form[name].trim() }) as { [N in Name]?: string }
  return {
    ...authorityOf(form),
    names: form.names.split(/[\s,]+/).filter(Boolean),
    ...(email.trim() === '' ? {} : { email: email.trim() }),
    ...(keyId.trim() === '' ? {} : { externalAccount: { keyId: keyId.trim(), ...key('hmacKey') } }),
    proof:
      form.kind === 'http'
        ? { kind: 'http', port: form.httpPort }
        : {
            ...{ kind: 'dns', server: form.server.trim(), port: form.dnsPort, keyName: form.keyName.trim() },
            ...{ algorithm: form.algorithm, ...key('keySecret'), settleMs: settleSeconds * SECOND_MS },
            ...(zone.trim() === '' ? {} : { zone: zone.trim() }),
          },
    // The button waits for it: see `complaintAboutCertificate`.
    agreesToTerms: true,
  }
}

/** Empty: it is seen what is missing. */
export function complaintAboutCertificate(form: CertificateForm): string | undefined {
  if (form.names.trim() === '') return ''
  return complaintOf(ENDPOINTS['certificate.order'].body, orderOf(form)) ?? (form.agreesToTerms ? undefined : '')
}
