/** Makes ready what an authority is to find, and takes it away again. */
import { request } from 'node:http'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { CertificateChallenge, WantedCertificate } from '@stead/core/model/web-certificate.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { ok, type Result } from '@stead/core/result.ts'
import { permittedBy } from '../outbound/outbound-guard.ts'
import { updateZone } from './zone-update.ts'

/** Every host hears of a challenge within moments; one that does not answer by then is no reason not to try. */
const HOSTS_MS_MAX = 10_000
const PAUSE_MS = 200
const ANSWER_MS_MAX = 1_000

export interface ProofContext {
  readonly state: ClusterState
  readonly clock: Clock
  readonly log: Log
}

/** The authority counts what it does not find: it is asked to look when everything is there. */
export async function makeProofReady(
  { state, clock, log }: ProofContext,
  { proof }: Pick<WantedCertificate, 'proof'>,
  challenges: readonly CertificateChallenge[],
): Promise<Result<void>> {
  if (proof.kind === 'dns') {
    const written = await updateZone(proof, challenges, 'add', permittedBy(state).isPermitted)
    if (written.ok) await clock.sleep(proof.settleMs)
    return written
  }
  const [first] = challenges
  const hosts = [...state.hosts.values()].filter(({ value: { id } }) => state.liveness.has(id))
  const until = clock.monotonicMs() + HOSTS_MS_MAX
  const silent = await Promise.all(
    hosts.map(async ({ value: { id, addresses } }) => {
      while (first && addresses.lan !== undefined) {
        if (await answers(addresses.lan, proof.port, first)) return []
        if (clock.monotonicMs() > until) return [id]
        await clock.sleep(PAUSE_MS)
      }
      return []
    }),
  )
  const late = silent.flat()
  if (late.length > 0) log.warn('hosts do not answer the authority', { hosts: late.join(', '), port: proof.port })
  return ok()
}

/** What is left of it does no harm: nobody waits for it. */
export async function takeProofAway(
  { state, log }: Pick<ProofContext, 'state' | 'log'>,
  { proof }: Pick<WantedCertificate, 'proof'>,
  challenges: readonly CertificateChallenge[],
): Promise<void> {
  if (proof.kind !== 'dns' || challenges.length === 0) return
  const removed = await updateZone(proof, challenges, 'remove', permittedBy(state).isPermitted)
  if (!removed.ok) log.warn('records of a proof are left in the zone', { cause: removed.error })
}

function answers(host: string, port: number, { token, answer }: CertificateChallenge): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request(
      { host, port, path: `/.well-known/acme-challenge/${token}`, agent: false, timeout: ANSWER_MS_MAX },
      (response) => {
        let text = ''
        response.on('data', (part: Buffer) => {
          text += part.toString()
          if (text.length > answer.length) response.destroy()
        })
        response.once('close', () => resolve(text === answer))
        response.on('error', () => resolve(false))
      },
    )
    asked.once('timeout', () => asked.destroy())
    asked.once('error', () => resolve(false))
    asked.end()
  })
}
