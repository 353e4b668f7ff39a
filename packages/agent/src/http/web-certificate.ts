/**
 * The certificate of the public port: the administrator's own, from a pair of files, or one that is made here and kept.
 * docs/internals/access.md.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { AgentConfig } from '../config.ts'
import type { KeyAndCertificate } from '../trust/certificates.ts'
import { ageOf } from '../trust/certificate-life.ts'
import {
  hasAuthorityKey,
  hasTrust,
  NO_VAULT,
  readAuthorities,
  readAuthority,
  readMaterial,
  type Opener,
} from '../trust/trust-files.ts'
import type { ServerCertificate } from './api-server.ts'
import type { WantedWebCertificate } from './web-certificate-maker.ts'

/**
 * Of the cluster's authority, so that who believes one host believes all; where there is none, of one that is made for
 * this host, whose key is thrown away. As long as those files are not changed, two calls give the same.
 */
export async function webCertificate(
  { hostId, clusterName, addresses, stateDir, api = {} }: WebCertificateConfig,
  nowMs: number,
  vault: Opener = NO_VAULT,
): Promise<Result<ServerCertificate>> {
  const { certificateFile, keyFile, names = [] } = api
  if (certificateFile !== undefined && keyFile !== undefined) return readPair(certificateFile, keyFile)
  const folder = join(stateDir, 'web')
  const [certificateKept, keyKept] = [join(folder, 'web.pem'), join(folder, 'web.key')]
  const wanted = [hostId, ...Object.values(addresses).filter((address) => address !== undefined), ...names, '127.0.0.1']
  const isOfCluster = hasTrust(stateDir)
  // A witness makes no certificates: it shows its own of the cluster.
  if (isOfCluster && !hasAuthorityKey(stateDir)) {
    const { ca, cert, key } = readMaterial(stateDir)
    return ok({ certificate: `${cert}${ca}`, key })
  }
  const kept = await readPair(certificateKept, keyKept)
  const authority = isOfCluster ? readAuthority(stateDir, vault) : undefined
  if (kept.ok && isOfOneOf(kept.value, acceptable(stateDir, authority)) && isGood(kept.value, wanted, nowMs))
    return kept
  if (authority && !authority.ok) return authority
  const made = await makePair({
    ...{ clusterName, name: hostId, names: wanted, nowMs },
    ...(authority ? { authority: authority.value } : {}),
  })
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await writeWhole(keyKept, made.key)
  await writeWhole(certificateKept, made.certificate)
  return ok(made)
}

/** The end of the chain that clients are shown, and its SHA-256. */
export async function webAuthority(config: WebCertificateConfig, nowMs: number, vault: Opener = NO_VAULT) {
  const pair = await webCertificate(config, nowMs, vault)
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

/** As long as it is not known which of two this host signs with, a certificate of either will do. */
function acceptable(stateDir: string, authority: Result<KeyAndCertificate> | undefined): readonly string[] {
  if (!authority) return ['']
  return authority.ok ? [authority.value.certificatePem] : readAuthorities(stateDir)
}

function isOfOneOf({ certificate }: ServerCertificate, authorities: readonly string[]): boolean {
  return authorities.some((authority) => certificate.endsWith(authority))
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

/** Without `authority`: of one whose key is thrown away. Nothing is kept. */
export async function makePair(wanted: WantedWebCertificate): Promise<ServerCertificate> {
  const worker = new Worker(new URL('web-certificate-maker.ts', import.meta.url), { workerData: wanted })
  return new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', () => reject(new Error('the certificate was not made')))
  })
}

async function writeWhole(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text, { mode: 0o600 })
  await rename(`${file}.new`, file)
}
