/** The way of a guest's memory between its QEMU's socket and the images: out to several at once, in from one. */
import { createHash } from 'node:crypto'
import { chownSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { Transform, type Readable, type Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

export interface Written<Place> {
  readonly bytes: number
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest: string
  /** Those that have taken all of it. */
  readonly places: readonly Place[]
}

/** One connection of QEMU, read into all sinks that keep up without an error. */
export class ImageFanOut<Place> {
  readonly #server: Server
  readonly #path: string
  readonly #sinks: Map<Place, Writable>
  readonly #over: Promise<Result<Written<Place>>>
  #settle: (end: Result<Written<Place>>) => void = () => undefined
  #socket: Socket | undefined

  private constructor(server: Server, path: string, sinks: ReadonlyMap<Place, Writable>) {
    this.#server = server
    this.#path = path
    this.#sinks = new Map(sinks)
    this.#over = new Promise((resolve) => (this.#settle = resolve))
    for (const [place, sink] of sinks) sink.on('error', () => this.#sinks.delete(place))
    server.on('connection', (socket) => {
      server.close()
      this.#socket = socket
      this.#read(socket).then(this.#settle, (cause: unknown) => this.#settle(broken(cause)))
    })
  }

  static async listen<Place>(
    path: string,
    sinks: ReadonlyMap<Place, Writable>,
    user?: { readonly uid: number; readonly gid: number },
  ): Promise<Result<ImageFanOut<Place>>> {
    try {
      rmSync(path, { force: true })
      const server = createServer().listen(path)
      await once(server, 'listening')
      if (user) chownSync(path, user.uid, user.gid)
      return ok(new ImageFanOut(server, path, sinks))
    } catch (cause) {
      return fail(failure('internal', `Nobody can listen at ${path}: ${(cause as Error).message}`, { cause }))
    }
  }

  /** Resolves once QEMU has closed its end and every sink has what it was given. */
  written(): Promise<Result<Written<Place>>> {
    return this.#over
  }

  /** Ends all of it; what QEMU still sends meets a broken connection. */
  close(): void {
    this.#server.close()
    this.#socket?.destroy()
    for (const sink of this.#sinks.values()) sink.destroy()
    rmSync(this.#path, { force: true })
    this.#settle(broken(new Error('it was given up')))
  }

  async #read(socket: Socket): Promise<Result<Written<Place>>> {
    const hash = createHash('sha256')
    let bytes = 0
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      hash.update(chunk)
      bytes += chunk.length
      await Promise.all([...this.#sinks].map(([place, sink]) => this.#give(place, sink, chunk)))
      if (this.#sinks.size === 0) throw new Error('no image takes it any more')
    }
    await Promise.all([...this.#sinks].map(([place, sink]) => this.#finish(place, sink)))
    return ok({ bytes, digest: `sha256:${hash.digest('hex')}`, places: [...this.#sinks.keys()] })
  }

  async #give(place: Place, sink: Writable, chunk: Buffer): Promise<void> {
    if (sink.destroyed) this.#sinks.delete(place)
    else if (!sink.write(chunk)) await Promise.race([once(sink, 'drain'), once(sink, 'close')]).catch(() => undefined)
  }

  async #finish(place: Place, sink: Writable): Promise<void> {
    sink.end()
    await finished(sink, { readable: false }).catch(() => this.#sinks.delete(place))
  }
}

function broken(cause: unknown): Result<never> {
  return fail(failure('storage', `The memory was not written: ${(cause as Error).message}`, { cause }))
}

/** Everything into a QEMU that listens at the path. Resolves with what it was once all is sent. */
export async function feedImage(
  content: Readable,
  path: string,
  onBytes: (bytes: number) => void,
): Promise<Result<{ readonly bytes: number; readonly digest: string }>> {
  const hash = createHash('sha256')
  let bytes = 0
  const counting = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      onBytes((bytes += chunk.length))
      done(null, chunk)
    },
  })
  try {
    const socket = connect(path)
    await once(socket, 'connect')
    await pipeline(content, counting, socket)
    return ok({ bytes, digest: `sha256:${hash.digest('hex')}` })
  } catch (cause) {
    content.destroy()
    return fail(failure('storage', `The image could not be read: ${(cause as Error).message}`, { cause }))
  }
}
