/**
 * The API's public port: TLS on the host's LAN address. The unix socket serves all the same when this cannot.
 */
import type { Clock } from '@stead/core/ports/clock.ts'
import type { AgentConfig } from '../config.ts'
import { startApiServer, type ApiServer, type ApiServerOptions } from './api-server.ts'
import { webCertificate } from './web-certificate.ts'

export const PUBLIC_API_PORT = 8443
/** An address that comes later than the agent, a port that somebody else leaves, a certificate that was replaced. */
const LOOK_MS = 10_000

/** Until the signal aborts. */
export async function keepPublicApi(
  config: AgentConfig,
  options: Omit<ApiServerOptions, 'listen'>,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const { log } = options
  const host = config.api?.address ?? config.addresses.lan
  if (host === undefined) return log.warn('there is no public API: the host has no LAN address')
  let server: ApiServer | undefined
  let served = ''
  let told = ''
  const trouble = (message: string, cause: unknown) => {
    if (message !== told) log.error('the public API does not serve what it should', { message, cause })
    told = message
  }
  const look = async () => {
    const certificate = await webCertificate(config, clock.wallMs())
    if (!certificate.ok) return trouble(certificate.error.message, certificate.error)
    const tls = certificate.value
    if (tls.certificate === served) return
    if (server) server.useCertificate(tls)
    else server = await startApiServer({ ...options, listen: [{ host, port: portOf(config), tls }] })
    served = tls.certificate
    told = ''
    log.info('the public API serves', { host, port: portOf(config) })
  }
  while (!signal.aborted) {
    try {
      await look()
    } catch (error) {
      trouble((error as Error).message, error)
    }
    await clock.sleep(LOOK_MS, signal)
  }
  await server?.close()
}

function portOf({ api }: AgentConfig): number {
  return api?.port ?? PUBLIC_API_PORT
}
