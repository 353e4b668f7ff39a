/** A request is answered as it should be: one try. Plain HTTP; redirects are answers like others and not followed. */
import { request } from 'node:http'
import type { ProbeOutcome } from '@stead/core/ha/readiness.ts'
import type { ProbeCheck } from '@stead/core/model/probe.ts'
import { connectionFailed, endpointText, noAnswer } from './tcp-attempt.ts'

/** Of the body so much is looked at; a server that never stops sending holds nobody up. */
const BODY_BYTES_MAX = 64 * 1024

export function attemptHttp(
  address: string,
  check: Extract<ProbeCheck, { kind: 'http' }>,
  timeoutMs: number,
): Promise<ProbeOutcome> {
  const { port, path, body } = check
  const where = endpointText(address, port)
  return new Promise((resolve) => {
    const asked = request({ host: address, port, path, agent: false, headers: { 'user-agent': 'stead-probe' } })
    const end = (outcome: ProbeOutcome) => {
      clearTimeout(timer)
      resolve(outcome)
      asked.destroy()
    }
    const timer = setTimeout(() => end(noAnswer(`http://${where}${path}`, timeoutMs)), timeoutMs)
    asked.once('error', (error: NodeJS.ErrnoException) => end(connectionFailed(where, error)))
    asked.once('response', (response) => {
      const { statusCode = 0 } = response
      if (!isWanted(statusCode, check.status))
        return end({
          succeeded: false,
          reason: `http://${where}${path} answers with status ${statusCode}, not ${check.status ?? '200 to 399'}`,
        })
      if (body === undefined) return end({ succeeded: true })
      let seen = Buffer.alloc(0)
      const judge = () =>
        seen.includes(body)
          ? end({ succeeded: true })
          : end({
              succeeded: false,
              reason: `the answer of http://${where}${path} does not contain ${JSON.stringify(body)}`,
            })
      response.on('data', (part: Buffer) => {
        seen = Buffer.concat([seen, part])
        if (seen.length >= BODY_BYTES_MAX) judge()
      })
      response.once('end', judge)
      response.once('error', (error: NodeJS.ErrnoException) => end(connectionFailed(where, error)))
    })
    asked.end()
  })
}

function isWanted(status: number, wanted: number | undefined): boolean {
  return wanted === undefined ? status >= 200 && status < 400 : status === wanted
}
