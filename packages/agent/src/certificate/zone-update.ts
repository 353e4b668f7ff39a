/**
 * Writes the records by which an authority sees that names are ours (RFC 8555 section 8.4) into their zone, by BIND's
 * `nsupdate` (RFC 2136, signed with a TSIG key). What it is told goes to its standard input: no key is on a command line.
 */
import { spawn } from 'node:child_process'
import { isIP } from 'node:net'
import { failure } from '@stead/core/errors.ts'
import type { CertificateChallenge, CertificateProof } from '@stead/core/model/web-certificate.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { permittedAddresses, type Permitted } from '../outbound/outbound-guard.ts'

const TIMEOUT_MS = 20_000
const RECORD_TTL_S = 60
const COMPLAINT_LENGTH_MAX = 500

export type DnsProof = Extract<CertificateProof, { kind: 'dns' }>

export async function updateZone(
  proof: DnsProof,
  challenges: readonly CertificateChallenge[],
  what: 'add' | 'remove',
  isPermitted: Permitted,
): Promise<Result<void>> {
  const found = await permittedAddresses(proof.server, isPermitted)
  if (!found.ok) return found
  return nsupdate(updateScript(proof, found.value[0]?.address ?? proof.server, challenges, what), proof)
}

/** Names and keys have been held to their characters where they came in: `endpoints/certificate.ts`. */
export function updateScript(
  { port, zone, keyName, algorithm, keySecret }: DnsProof,
  address: string,
  challenges: readonly CertificateChallenge[],
  what: 'add' | 'remove',
): string {
  const changes = challenges.map(({ name, answer }) => {
    // Of two names that share a record, as `*.a` and `a`, each has a text of its own in it.
    const record = `_acme-challenge.${name.replace(/^\*\./, '')}.`
    return what === 'add'
      ? `update add ${record} ${RECORD_TTL_S} TXT "${answer}"`
      : `update delete ${record} TXT "${answer}"`
  })
  return [
    `server ${address} ${port}`,
    `key ${algorithm}:${keyName} ${keySecret}`,
    ...(zone === undefined ? [] : [`zone ${zone}`]),
    ...changes,
    'send',
    '',
  ].join('\n')
}

function nsupdate(script: string, { server, port }: DnsProof): Promise<Result<void>> {
  const at = isIP(server) === 6 ? `[${server}]:${port}` : `${server}:${port}`
  return new Promise((resolve) => {
    const child = spawn('nsupdate', ['-t', '5', '-v'], { timeout: TIMEOUT_MS, killSignal: 'SIGKILL' })
    let said = ''
    child.stderr.on('data', (text: Buffer) => (said += text.toString()))
    child.once('error', (cause: NodeJS.ErrnoException) => {
      const isAbsent = cause.code === 'ENOENT'
      const why = isAbsent ? 'nsupdate is not installed on this host' : cause.message
      const hint = isAbsent ? 'Install the package bind9-dnsutils on all hosts' : undefined
      resolve(fail(failure('conflict', `The zone cannot be changed: ${why}`, { cause, ...(hint ? { hint } : {}) })))
    })
    child.once('close', (code) => {
      if (code === 0) return resolve(ok())
      const why = said.trim().replaceAll(/\s+/g, ' ').slice(0, COMPLAINT_LENGTH_MAX) || 'it did not answer in time'
      const hint = `Try it there: the server must take updates of _acme-challenge records (TXT) signed with this key`
      resolve(fail(failure('conflict', `${at} does not change the zone: ${why}`, { hint, cause: { code } })))
    })
    // One that ended before it had read everything says why on its standard error.
    child.stdin.on('error', () => undefined)
    child.stdin.end(script)
  })
}
