/** How Node reaches a host: by HTTPS or by its own socket. The package for browsers is built with `browser-way.ts` instead. */
import { openNodeSocket } from './node-socket.ts'
import { unixTransport } from './node-transport.ts'

export const WAY = { transport: unixTransport, openSocket: openNodeSocket }
