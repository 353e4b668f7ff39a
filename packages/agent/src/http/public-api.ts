/**
 * The API's public port: TLS on the host's LAN address, and on the cluster's while this host holds it. The unix socket serves
 * all the same when this cannot.
 */
import { WakeableSleep } from '@stead/core/wakeable-sleep.ts'
import { keepChallengesAnswered } from '../certificate/challenge-server.ts'
import { NamedCertificates } from '../certificate/named-certificate.ts'
import type { AgentConfig } from '../config.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { ClusterAddress, type ClusterAddressOptions } from '../network/cluster-address.ts'
import { LinuxLanAddress } from '../network/lan-address.ts'
import type { Opener } from '../trust/trust-files.ts'
import { startApiServer, type ApiServer, type ApiServerOptions } from './api-server.ts'
import { webCertificate } from './web-certificate.ts'

export const PUBLIC_API_PORT = 8443
/** An address that comes later than the agent, a port that somebody else leaves, a certificate that was replaced. */
const LOOK_MS = 10_000
/** A host that has just begun may be waiting for the key by which that of the authority opens. */
const AGAIN_MS = 500

/** Of a host of the cluster: its own port, and its part in holding the cluster's address. */
export function publicApiWork(
  parts: PublicApiContext,
  serving: Omit<ApiServerOptions, 'listen'>,
  signal: AbortSignal,
): Promise<void>[] {
  const { config, vault: _, ...rest } = parts
  const lan = new LinuxLanAddress(config.addresses.lan, config.nativeDir)
  const shared = new ClusterAddress({ ...rest, self: config.hostId as HostId, lan })
  // A witness holds none: it has no certificate that could name the address.
  const holding = config.role === 'compute' ? [shared.run(signal)] : []
  const addresses = () => [ownAddress(config), shared.held].filter((address) => address !== undefined)
  return [
    ...holding,
    keepPublicApi(parts, serving, shared, signal),
    keepChallengesAnswered({ ...rest, addresses }, signal),
  ]
}

type PublicApiContext = { readonly config: AgentConfig; readonly vault: Opener } & Pick<
  ClusterAddressOptions,
  'store' | 'mirror' | 'clock' | 'log'
>

function ownAddress({ api, addresses }: AgentConfig): string | undefined {
  return api?.address ?? addresses.lan
}

/** Until the signal aborts. */
async function keepPublicApi(
  { config, vault, store, mirror, clock }: PublicApiContext,
  options: Omit<ApiServerOptions, 'listen'>,
  clusterAddress: Pick<ClusterAddress, 'wanted' | 'held' | 'onChange'>,
  signal: AbortSignal,
): Promise<void> {
  const { log } = options
  const host = ownAddress(config)
  if (host === undefined) return log.warn('there is no public API: the host has no LAN address')
  const rest = new WakeableSleep(clock)
  const named = new NamedCertificates({ store, log })
  let seen = mirror.state.certificateProgress
  const ends = [
    clusterAddress.onChange(() => rest.wake()),
    mirror.onChange(({ certificateProgress }) => {
      if (certificateProgress?.value.given?.fingerprint !== seen?.value.given?.fingerprint) rest.wake()
      seen = certificateProgress
    }),
  ]
  let server: ApiServer | undefined
  let shared: { readonly address: string; readonly server: ApiServer } | undefined
  let served = ''
  let told = ''
  let lookAgainMs = LOOK_MS
  const trouble = (message: string, cause: unknown) => {
    if (message !== told) log.error('the public API does not serve what it should', { message, cause })
    told = message
  }
  const look = async () => {
    const { wanted, held } = clusterAddress
    const names = [...(config.api?.names ?? []), ...(wanted === undefined ? [] : [wanted])]
    const certificate = await webCertificate({ ...config, api: { ...config.api, names } }, clock.wallMs(), vault)
    lookAgainMs = !certificate.ok && certificate.error.code === 'secrets_locked' ? AGAIN_MS : LOOK_MS
    if (!certificate.ok) return trouble(certificate.error.message, certificate.error)
    const tls = certificate.value
    const serveAt = (address: string) =>
      startApiServer({ ...options, listen: [{ host: address, port: portOf(config), tls }] })
    if (tls.certificate !== served) {
      if (server) server.useCertificate(tls)
      else server = await serveAt(host)
      shared?.server.useCertificate(tls)
      served = tls.certificate
      told = ''
      log.info('the public API serves', { host, port: portOf(config) })
    }
    // A witness opens no secrets.
    const byName = config.role === 'compute' ? await named.look(mirror.state, clock.wallMs()) : undefined
    if (byName?.isLate) lookAgainMs = AGAIN_MS
    const useNamed = () => [server, shared?.server].forEach((one) => one?.useNamed(byName?.certificate))
    useNamed()
    if (shared?.address === held) return
    await shared?.server.close()
    shared = undefined
    if (held !== undefined) shared = { address: held, server: await serveAt(held) }
    useNamed()
  }
  while (!signal.aborted) {
    try {
      await look()
    } catch (error) {
      trouble((error as Error).message, error)
    }
    await rest.sleep(lookAgainMs, signal)
  }
  for (const end of ends) end()
  await Promise.all([server?.close(), shared?.server.close()])
}

function portOf({ api }: AgentConfig): number {
  return api?.port ?? PUBLIC_API_PORT
}
