/** Hosts of one cluster, for tests: their names lead to this machine. */
import { createAuthority, issueCertificate } from './certificates.ts'
import { HostCredentials } from './host-credentials.ts'
import { hostContent } from './host-trust.ts'

export async function credentialsOf<Id extends string>(...ids: readonly Id[]): Promise<Record<Id, HostCredentials>> {
  const authority = await createAuthority('test', Date.now())
  const made = ids.map(async (id) => {
    const own = await issueCertificate(authority, hostContent({ id, addresses: {} }), Date.now())
    const material = { ca: authority.certificatePem, cert: own.certificatePem, key: own.keyPem }
    return [id, new HostCredentials(material)] as const
  })
  return Object.fromEntries(await Promise.all(made)) as Record<Id, HostCredentials>
}
