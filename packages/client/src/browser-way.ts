/** How a page reaches a host: as the browser does, which believes and sends what it will. */
import { openBrowserSocket } from '@stead/api/console-connection.ts'
import { fetchTransport } from '@stead/api/transport.ts'

export const WAY = { transport: fetchTransport((...asked) => fetch(...asked)), openSocket: openBrowserSocket }
