/** The way to a guest's console from Node, which also knows unix sockets. */
import type { ConsoleSocket, OpenConsoleSocket } from '@stead/api/console-connection.ts'
import { trustOf } from './node-transport.ts'

const HANDSHAKE_TIMEOUT_MS = 5_000

export const openNodeSocket: OpenConsoleSocket = async (target, path, subprotocol) => {
  // Read only when a console is opened: every other command starts quicker without it.
  const { WebSocket } = await import('ws')
  const address = 'unix' in target ? `ws+unix:${target.unix}:${path}` : webSocketAddress(target.url, path)
  const socket = new WebSocket(address, subprotocol, {
    perMessageDeflate: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    ...('url' in target ? trustOf(target.authority) : {}),
  })
  return socket as unknown as ConsoleSocket
}

function webSocketAddress(base: string, path: string): URL {
  const url = new URL(path, base)
  url.protocol = url.protocol.replace('http', 'ws')
  return url
}
