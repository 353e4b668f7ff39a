/**
 * The certificate of the public port: the administrator's own, from a pair of files, or one that is made here and kept.
 * docs/internals/access.md.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { AgentConfig } from '../config.ts'
import { ageOf } from '../trust/certificate-life.ts'
import type { ServerCertificate } from './api-server.ts'

/** As long as those files are not changed: two calls give the same. */
export async function webCertificate(
  { hostId, clusterName, addresses, stateDir, api = {} }: WebCertificateConfig,
  nowMs: number,
): Promise<Result<ServerCertificate>> {
  const { certificateFile, keyFile, names = [] } = api
  if (certificateFile !== undefined && keyFile !== undefined) return readPair(certificateFile, keyFile)
  const folder = join(stateDir, 'web')
  const [certificateKept, keyKept] = [join(folder, 'web.pem'), join(folder, 'web.key')]
  const wanted = [hostId, ...Object.values(addresses).filter((address) => address !== undefined), ...names, '127.0.0.1']
  const kept = await readPair(certificateKept, keyKept)
  if (kept.ok && isGood(kept.value, wanted, nowMs)) return kept
  const made = await makePair(clusterName, hostId, wanted, nowMs)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await writeWhole(keyKept, made.key)
  await writeWhole(certificateKept, made.certificate)
  return ok(made)
}

/** The end of the chain that clients are shown, and its SHA-256. */
export async function webAuthority(config: WebCertificateConfig, nowMs: number) {
  const pair = await webCertificate(config, nowMs)
  if (!pair.ok) return pair
  const [, last = pair.value.certificate] =
    /(-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----)\s*$/.exec(pair.value.certificate) ?? []
  return ok({ certificate: last, fingerprint: new X509Certificate(last).fingerprint256 })
}

type WebCertificateConfig = Pick<AgentConfig, 'hostId' | 'clusterName' | 'addresses' | 'stateDir' | 'api'>

async function readPair(certificateFile: string, keyFile: string): Promise<Result<ServerCertificate>> {
  try {
    const [certificate, key] = await Promise.all([readFile(certificateFile, 'utf8'), readFile(keyFile, 'utf8')])
    return ok({ certificate, key })
  } catch (cause) {
    return fail(
      failure('bad_request', `The certificate cannot be read: ${(cause as Error).message}`, {
        hint: "Name files that the agent can read in `api` of the host's configuration",
        cause,
      }),
    )
  }
}

function isGood({ certificate: pem }: ServerCertificate, names: readonly string[], nowMs: number): boolean {
  try {
    const certificate = new X509Certificate(pem)
    const holds = (name: string) => certificate.checkHost(name) !== undefined || certificate.checkIP(name) !== undefined
    return ageOf(certificate.validToDate.getTime(), nowMs) === 'fresh' && names.every(holds)
  } catch {
    return false
  }
}

/** Of an authority of its own, whose key is thrown away. A client pins that authority. */
async function makePair(clusterName: string, name: string, names: readonly string[], nowMs: number) {
  // A library of 19 MB that is needed once in years.
  const { createAuthority, issueCertificate } = await import('../trust/certificates.ts')
  const authority = await createAuthority(`${clusterName} ${name}`, nowMs)
  const { keyPem, certificatePem } = await issueCertificate(authority, { purpose: 'web', name, names }, nowMs)
  return { certificate: `${certificatePem}${authority.certificatePem}`, key: keyPem }
}

async function writeWhole(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text, { mode: 0o600 })
  await rename(`${file}.new`, file)
}
