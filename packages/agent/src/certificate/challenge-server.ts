/**
 * Answers an authority that looks whether names are ours (RFC 8555 section 8.3): on every host, whichever it comes to, and
 * only while it is to look. Nothing else is told or redirected at that port.
 */
import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { WakeableSleep } from '@stead/core/wakeable-sleep.ts'

/** An address that comes later than the challenge; news wake it anyway. */
const LOOK_MS = 2_000
const REST_MS = 600_000
const PATH = /^\/\.well-known\/acme-challenge\/([A-Za-z0-9_-]{1,256})$/
const CONNECTIONS_MAX = 64
const REQUEST_MS_MAX = 5_000

export interface ChallengeServerOptions {
  readonly mirror: ClusterMirror
  /** Of this host, now: its own on the LAN, and the cluster's while it holds it. */
  readonly addresses: () => readonly string[]
  readonly clock: Clock
  readonly log: Log
}

export async function keepChallengesAnswered(
  { mirror, addresses, clock, log }: ChallengeServerOptions,
  signal: AbortSignal,
): Promise<void> {
  const rest = new WakeableSleep(clock)
  const open = new Map<string, Server>()
  let told = ''
  let seen = mirror.state.certificateProgress
  const off = mirror.onChange(({ certificateProgress }) => {
    if (certificateProgress !== seen) rest.wake()
    seen = certificateProgress
  })
  const look = async () => {
    const port = wantedPort(mirror.state)
    const wanted = new Set(port === undefined ? [] : addresses().map((address) => `${address} ${port}`))
    for (const [place, server] of open) {
      if (wanted.has(place)) continue
      open.delete(place)
      await closed(server)
    }
    for (const place of wanted) {
      if (open.has(place)) continue
      try {
        open.set(place, await answering(mirror, place))
      } catch (error) {
        const message = (error as Error).message
        if (message !== told) log.warn('an authority cannot be answered here', { message })
        told = message
      }
    }
  }
  while (!signal.aborted) {
    await look()
    await rest.sleep(wantedPort(mirror.state) === undefined ? REST_MS : LOOK_MS, signal)
  }
  off()
  await Promise.all([...open.values()].map(closed))
}

function wantedPort({ wantedCertificate, certificateProgress }: ClusterState): number | undefined {
  const proof = wantedCertificate?.value.proof
  return proof?.kind === 'http' && certificateProgress?.value.order ? proof.port : undefined
}

async function answering(mirror: ClusterMirror, place: string): Promise<Server> {
  const [host, port] = place.split(' ')
  const server = createServer(
    { requestTimeout: REQUEST_MS_MAX, headersTimeout: REQUEST_MS_MAX, keepAliveTimeout: 1 },
    ({ method, url = '' }, response) => {
      const [, token] = PATH.exec(url) ?? []
      const { challenges = [] } = mirror.state.certificateProgress?.value.order ?? {}
      const answer = method === 'GET' ? challenges.find((one) => one.token === token)?.answer : undefined
      const head = { 'content-type': 'text/plain', 'cache-control': 'no-store', connection: 'close' }
      if (answer === undefined) response.writeHead(404, head).end('Nothing is here.\n')
      else response.writeHead(200, head).end(answer)
    },
  )
  server.maxConnections = CONNECTIONS_MAX
  server.listen({ host, port: Number(port) })
  await once(server, 'listening')
  return server
}

async function closed(server: Server): Promise<void> {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
}
