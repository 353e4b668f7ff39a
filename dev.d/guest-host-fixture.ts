/** Hosts with a guest whose console says what is typed, and with a container whose shell does what it is told. */
import { PassThrough, Duplex } from 'node:stream'
import { startApiServer } from '@stead/agent/http/api-server.ts'
import { encodeShellFrame, shellFrameReader } from '@stead/agent/console/shell-frames.ts'
import { CONSOLE_SUBPROTOCOL } from '@stead/api/console-protocol.ts'
import { failure } from '@stead/core/errors.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok } from '@stead/core/result.ts'

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent }

export class GuestHost {
  /** That the shells were opened with. */
  readonly sizes: string[] = []
  #hosts = 0

  /** The address of one more of its hosts, which all know its guests. */
  async serve(ends: (() => unknown)[]): Promise<string> {
    const host = `h${++this.#hosts}`
    const ticketOf = (kind: string) => async (asked: { readonly params: { readonly guest: string } }) => {
      const { guest } = asked.params
      if (guest === 'nobody') return fail(failure('not_found', 'There is no guest nobody'))
      const url = `/v1/guests/${guest}/console/${kind}?ticket=good`
      return ok({ kind, ticket: 'good', url, subprotocol: CONSOLE_SUBPROTOCOL, host, epoch: this.#hosts, expiresAt: 0 })
    }
    const server = await startApiServer({
      listen: [{ host: '127.0.0.1', port: 0 }],
      backend: { 'console.open': ticketOf('serial'), 'console.enter': ticketOf('shell') } as never,
      log: silent,
      host,
      token: 'client',
      connectConsole: async ({ kind, columns, rows }) => {
        if (kind === 'shell') this.sizes.push(`${columns}x${rows}`)
        const stream = kind === 'shell' ? shell(die) : echo(die)
        return ok({ stream, taken: new AbortController().signal, onMoved: () => () => undefined })
      },
    })
    const die = () => void server.close()
    ends.push(() => server.close())
    return `http://127.0.0.1:${(server.addresses[0] as { port: number }).port}`
  }
}

function echo(die: () => void): Duplex {
  const stream = new PassThrough()
  stream.on('data', (bytes: Buffer) => bytes.toString() === 'die' && die())
  return stream
}

function shell(die: () => void): Duplex {
  const [says, typed] = [new PassThrough(), new PassThrough()]
  const framesOf = shellFrameReader()
  typed.on('data', (bytes: Buffer) => {
    for (const frame of framesOf(bytes)) {
      const word = frame.kind === 'bytes' ? frame.bytes.toString() : ''
      if (word === 'die') die()
      if (word === 'exit') says.write(encodeShellFrame({ kind: 'exit', code: 7 }))
    }
  })
  return Duplex.from({ readable: says, writable: typed }).on('error', () => undefined)
}
