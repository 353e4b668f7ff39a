/**
 * A host of no cluster serves its own set-up: to whoever has the code that root of the host was shown, until the host is
 * set up. docs/internals/set-up.md.
 */
import { randomInt, X509Certificate } from 'node:crypto'
import { SETUP_ENDPOINTS } from '@stead/api/endpoints/set-up.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { ok, type Result } from '@stead/core/result.ts'
import { startApiServer, type ApiServerOptions, type SetupBackend } from '../http/api-server.ts'
import { makePair } from '../http/web-certificate.ts'
import { webFiles } from '../http/web-files.ts'
import { hostFacts, ownName } from './host-facts.ts'
import type { SetupWork } from './setup-work.ts'

export const SETUP_PORT = 8447
/** Letters and digits that nobody takes for others: 5 bits each. */
const SIGNS = 'abcdefghjkmnpqrstuvwxyz23456789'
const SIGNS_COUNT = 12
const OPEN_MS = 60 * 60_000
/** For a browser that has not asked yet what came of it. */
const LINGER_MS = 120_000
const LOOK_MS = 500
/** For the answer that was the last one. */
const ANSWER_MS = 2_000

export interface SetupDoorOptions {
  readonly addresses: readonly string[]
  readonly port: number
  readonly work: SetupWork
  readonly clock: Clock
  readonly log: Log
}

export interface SetupDoor {
  readonly code: string
  /** SHA-256 of the certificate that is shown. */
  readonly fingerprint: string
  /** One for each address. */
  readonly pages: readonly string[]
  /** Serves until the host is set up and somebody was told so, an hour is over, or aborted. */
  serve(signal: AbortSignal): Promise<void>
}

export async function openSetupDoor({ addresses, port, work, clock, log }: SetupDoorOptions): Promise<SetupDoor> {
  const names = [...addresses, '127.0.0.1', 'localhost']
  const tls = await makePair({ clusterName: 'set-up', name: ownName(), names, nowMs: clock.wallMs() })
  const code = newCode()
  let isTold = false
  const backend: SetupBackend = {
    'setup.show': async () => {
      const facts = await hostFacts()
      isTold = work.view?.state === 'done'
      return ok({ ...facts, work: work.view })
    },
    'setup.check': async ({ body }) => work.check(body),
    'setup.apply': async ({ body }): Promise<Result<NonNullable<SetupWork['view']>>> =>
      work.begin(body.answers, body.despite),
  }
  const options: ApiServerOptions = {
    listen: addresses.map((host) => ({ host, port, tls })),
    ...{ host: ownName(), token: code, backend, endpoints: Object.values(SETUP_ENDPOINTS), log, web: webFiles() },
  }
  const server = await startApiServer(options)
  const pages = server.addresses.flatMap((address) =>
    'unix' in address ? [] : [`https://${address.host}:${address.port}/setup#code=${code}`],
  )
  const serve = async (signal: AbortSignal) => {
    const endMs = clock.monotonicMs() + OPEN_MS
    let lingerMs = Number.POSITIVE_INFINITY
    // A set-up that runs is not cut off.
    while (!signal.aborted && (work.view?.state === 'running' || clock.monotonicMs() < Math.min(endMs, lingerMs))) {
      if (work.view?.state === 'done') {
        if (isTold) break
        lingerMs = Math.min(lingerMs, clock.monotonicMs() + LINGER_MS)
      }
      await clock.sleep(LOOK_MS, signal)
    }
    if (isTold) await clock.sleep(ANSWER_MS, signal)
    await server.close()
  }
  return { code, fingerprint: new X509Certificate(tls.certificate).fingerprint256, pages, serve }
}

function newCode(): string {
  const signs = Array.from({ length: SIGNS_COUNT }, () => SIGNS[randomInt(SIGNS.length)])
  return signs.join('').replace(/(.{4})(?=.)/g, '$1-')
}
