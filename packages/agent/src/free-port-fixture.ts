import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const TRIES_MAX = 300
const PAUSE_MS = 50

/**
 * Below the ports that Linux gives to outgoing connections (from 32768), which would otherwise
 * take one between its choice and its use.
 */
const PORT_FIRST = 12_000
const PORT_LAST = 32_000

/** Each process of the tests begins elsewhere and gives no port twice. */
let next = PORT_FIRST + Math.floor(Math.random() * (PORT_LAST - PORT_FIRST))

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  const bound = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1' }, () => resolve(true))
  })
  if (bound) await once(server.close(), 'close')
  return bound
}

/** TCP ports of loopback that nobody listens on just now. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = []
  for (let tries = 0; ports.length < count && tries < TRIES_MAX; tries++) {
    const port = next
    next = port < PORT_LAST ? port + 1 : PORT_FIRST
    if (await isFree(port)) ports.push(port)
  }
  if (ports.length < count) throw new Error(`no ${count} free ports in ${TRIES_MAX} tries`)
  return ports
}

export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1)
  return port
}

/** Until somebody listens on that port of loopback. */
export async function untilOpen(port: number): Promise<void> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    })
    socket.destroy()
    if (isOpen) return
    await sleep(PAUSE_MS)
  }
  throw new Error(`nobody listens at port ${port}`)
}
