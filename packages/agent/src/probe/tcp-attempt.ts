/** A connection is taken: one try. Nothing is sent. */
import { connect } from 'node:net'
import type { ProbeOutcome } from '@stead/core/ha/readiness.ts'
import type { ProbeCheck } from '@stead/core/model/probe.ts'

export function attemptTcp(
  address: string,
  { port }: Extract<ProbeCheck, { kind: 'tcp' }>,
  timeoutMs: number,
): Promise<ProbeOutcome> {
  const where = endpointText(address, port)
  return new Promise((resolve) => {
    const socket = connect({ host: address, port })
    const end = (outcome: ProbeOutcome) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(outcome)
    }
    const timer = setTimeout(() => end(noAnswer(where, timeoutMs)), timeoutMs)
    socket.once('connect', () => end({ succeeded: true }))
    socket.once('error', (error: NodeJS.ErrnoException) => end(connectionFailed(where, error)))
  })
}

export function endpointText(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

export function noAnswer(where: string, timeoutMs: number): ProbeOutcome {
  return { succeeded: false, reason: `${where} did not answer within ${timeoutMs} ms` }
}

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'refuses connections',
  ECONNRESET: 'breaks connections off',
  EHOSTUNREACH: 'cannot be reached',
  ENETUNREACH: 'is in no network of this host',
  ETIMEDOUT: 'does not answer',
}

export function connectionFailed(where: string, error: NodeJS.ErrnoException): ProbeOutcome {
  return { succeeded: false, reason: `${where} ${WORDS[error.code ?? ''] ?? `fails: ${error.code ?? error.message}`}` }
}
