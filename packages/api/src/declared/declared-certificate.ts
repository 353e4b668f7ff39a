/**
 * The certificate of the web that a file wants from an authority. Secrets of keys are in no export; of a key that is kept they
 * need not be said, and what they are cannot be compared. Pure.
 */
import type { ResponseOf } from '../endpoint.ts'
import type { EndpointOf } from '../endpoints.ts'
import type { Fields } from './declared-cluster.ts'
import { differencesOf, type Difference } from './difference.ts'

type View = ResponseOf<EndpointOf<'certificate.show'>>

/** As a file says it; undefined: no authority is asked. */
export function presentCertificate({ wanted }: View): Fields | undefined {
  if (!wanted) return undefined
  const { names, directoryUrl, authorityPem, email, externalAccount, proof } = wanted
  return {
    ...{ names: [...names], directoryUrl },
    ...(authorityPem === null ? {} : { authorityPem }),
    ...(email === null ? {} : { email }),
    ...(externalAccount === null ? {} : { externalAccount: { keyId: externalAccount } }),
    proof: Object.fromEntries(Object.entries(proof).filter(([, value]) => value !== null)),
    agreesToTerms: true,
  }
}

export function certificateDifferences(wanted: Fields, present: Fields | undefined): Difference[] {
  const { externalAccount, proof, ...rest } = wanted
  const compared = {
    ...rest,
    ...(externalAccount === undefined ? {} : { externalAccount: without(externalAccount, 'hmacKey') }),
    ...(proof === undefined ? {} : { proof: without(proof, 'keySecret') }),
  }
  return differencesOf(compared, present ?? {})
}

/** The order is whole: what the file does not say is as it was. */
export function certificateOrder(wanted: Fields, present: Fields | undefined): Fields {
  const of = (field: 'proof' | 'externalAccount', key: string) => {
    const [said, was] = [wanted[field], present?.[field]] as [Fields | undefined, Fields | undefined]
    if (said === undefined && was === undefined) return {}
    return { [field]: said && was && said[key] === was[key] ? { ...was, ...said } : (said ?? was) }
  }
  return { ...present, ...wanted, ...of('proof', 'kind'), ...of('externalAccount', 'keyId') }
}

/** The key whose secret must be in the file, since none is kept here. */
export function keyWithoutSecret(order: Fields, present: Fields | undefined): string | undefined {
  const { proof, externalAccount } = order as { readonly proof?: Fields; readonly externalAccount?: Fields }
  const was = (present ?? {}) as typeof order & { readonly proof?: Fields; readonly externalAccount?: Fields }
  const isKept = (['server', 'port', 'keyName', 'algorithm'] as const).every(
    (name) => was.proof?.[name] === proof?.[name],
  )
  if (proof?.['kind'] === 'dns' && proof['keySecret'] === undefined && !isKept) return String(proof['keyName'])
  const isKnown =
    was.externalAccount?.['keyId'] === externalAccount?.['keyId'] && was['directoryUrl'] === order['directoryUrl']
  if (externalAccount && externalAccount['hmacKey'] === undefined && !isKnown) return String(externalAccount['keyId'])
  return undefined
}

function without(fields: unknown, name: string): Fields {
  const { [name]: _secret, ...rest } = fields as Fields
  return rest
}
