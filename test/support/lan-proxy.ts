/**
 * The way from this machine's loopback into the LAN of a lab, for a browser that visits hosts at their own addresses: a proxy
 * (CONNECT alone, since all that hosts serve there is TLS) in the lab's client namespace, reached by a socket file.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { STEAD, type LabCluster } from './lab-cluster.ts'

export interface LanProxy {
  /** As browsers are told of it. */
  readonly url: string
  close(): void
}

/** The process on the LAN ends with the lab. */
export async function openLanProxy(lab: LabCluster): Promise<LanProxy> {
  const socket = join(lab.env['STEAD_LAB_ROOT'] ?? '', 'lan-proxy.sock')
  const self = fileURLToPath(import.meta.url)
  const serving = lab.spawn(STEAD, ['lab', 'client', '--', process.execPath, self, socket])
  await once(serving.stdout!, 'data')
  const open = new Set<Socket>()
  const door = createTcpServer((browser) => {
    open.add(browser)
    browser.once('close', () => open.delete(browser))
    joined(browser, connect(socket))
  })
  door.listen(0, '127.0.0.1')
  await once(door, 'listening')
  return {
    url: `http://127.0.0.1:${(door.address() as AddressInfo).port}`,
    close: () => {
      door.close()
      for (const browser of open) browser.destroy()
    },
  }
}

/** What the one says the other hears, until either ends. */
function joined(one: Duplex, other: Duplex): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on('error', () => to.destroy())
    from.once('close', () => to.destroy())
    from.pipe(to)
  }
}

/** In the client's namespace, until it is ended. */
function serve(socket: string): void {
  const server = createServer()
  server.on('connect', ({ url = '' }, browser: Duplex, head: Buffer) => {
    const { hostname, port } = new URL(`tcp://${url}`)
    const host = connect(Number(port), hostname)
    host.once('connect', () => {
      browser.write('HTTP/1.1 200 Connected\r\n\r\n')
      host.write(head)
    })
    joined(browser, host)
  })
  server.listen(socket, () => process.stdout.write('ready\n'))
}

if (import.meta.main) serve(process.argv[2] ?? '')
