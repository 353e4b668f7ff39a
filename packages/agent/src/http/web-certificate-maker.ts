/** Entry of a worker: what makes certificates is 19 MB of libraries, which go with it when it is done. */
import { parentPort, workerData } from 'node:worker_threads'
import { createAuthority, issueCertificate, type KeyAndCertificate } from '../trust/certificates.ts'

export interface WantedWebCertificate {
  /** Absent: one is made for this certificate alone, and its key is thrown away. */
  readonly authority?: KeyAndCertificate
  readonly clusterName: string
  readonly name: string
  readonly names: readonly string[]
  readonly nowMs: number
}

const { authority: given, clusterName, name, names, nowMs } = workerData as WantedWebCertificate
const authority = given ?? (await createAuthority(`${clusterName} ${name}`, nowMs))
const { keyPem, certificatePem } = await issueCertificate(authority, { purpose: 'web', name, names }, nowMs)
parentPort?.postMessage({ certificate: `${certificatePem}${authority.certificatePem}`, key: keyPem })
