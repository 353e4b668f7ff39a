/**
 * One conversation with a guest agent: JSON lines over the unix socket that QEMU holds for the guest's virtio-serial
 * port (QEMU's docs/interop/qemu-ga). The port has no notion of connections: what an earlier conversation left
 * unread may still come. So each begins with `guest-sync-delimited`, whose answer is marked by a byte that is no UTF-8.
 */
import { connect, type Socket } from 'node:net'
import { failure, type Failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

const DELIMITER = 0xff
/** An answer larger than this is no answer of an agent; `guest-exec` keeps at most 16 MiB of output. */
const ANSWER_BYTES_MAX = 64 << 20

export class GuestAgentChannel {
  readonly #socket: Socket
  #received = Buffer.alloc(0)
  #synchronized = false
  #closed = false
  #settle: ((answer: Result<unknown>) => void) | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (bytes: Buffer) => this.#receive(bytes))
    socket.on('error', () => this.close())
    socket.on('close', () => this.close())
  }

  /** Fails with `no_guest_agent` when QEMU has no such channel or nobody answers on it within `timeoutMs`. */
  static async open(path: string, timeoutMs: number): Promise<Result<GuestAgentChannel>> {
    const deadline = performance.now() + timeoutMs
    const socket = await connected(path, timeoutMs)
    if (!socket.ok) return socket
    const channel = new GuestAgentChannel(socket.value)
    const id = Math.floor(Math.random() * 0x7fff_ffff)
    // The byte in front makes an agent that is in the middle of a half-sent line drop that.
    socket.value.write(Buffer.from([DELIMITER]))
    const answer = await channel.execute('guest-sync-delimited', { id }, deadline - performance.now())
    if (answer.ok && answer.value === id) return ok(channel)
    channel.close()
    return fail(noAgent('nobody answers on its channel', answer.ok ? answer.value : answer.error))
  }

  /** One at a time. The agent's own error comes back as `no_guest_agent` (it lacks the command) or `conflict`. */
  execute(command: string, args: object | undefined, timeoutMs: number): Promise<Result<unknown>> {
    if (this.#closed) return Promise.resolve(fail(noAgent('its channel is closed')))
    return new Promise((resolve) => {
      const timer = setTimeout(() => settle(fail(noAgent(`${command}: no answer within ${timeoutMs} ms`))), timeoutMs)
      const settle = (answer: Result<unknown>) => {
        clearTimeout(timer)
        if (this.#settle === settle) this.#settle = undefined
        resolve(answer)
      }
      this.#settle = settle
      this.#socket.write(`${JSON.stringify({ execute: command, ...(args ? { arguments: args } : {}) })}\n`)
    })
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#socket.destroy()
    this.#settle?.(fail(noAgent('its channel was closed')))
  }

  #receive(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes])
    if (this.#received.length > ANSWER_BYTES_MAX) return this.close()
    if (!this.#synchronized) {
      const mark = this.#received.lastIndexOf(DELIMITER)
      if (mark < 0) return
      this.#received = this.#received.subarray(mark + 1)
      this.#synchronized = true
    }
    for (let end = this.#received.indexOf(10); end >= 0; end = this.#received.indexOf(10)) {
      const line = this.#received.subarray(0, end).toString('utf8').trim()
      this.#received = this.#received.subarray(end + 1)
      if (line) this.#settle?.(answerIn(line))
    }
  }
}

function answerIn(line: string): Result<unknown> {
  let message: { readonly return?: unknown; readonly error?: { readonly class?: string; readonly desc?: string } }
  try {
    message = JSON.parse(line) as typeof message
  } catch (cause) {
    return fail(noAgent('what answers on its channel is no agent', cause))
  }
  if (!message.error) return ok(message.return)
  const text = String(message.error.desc ?? message.error.class)
  if (message.error.class === 'CommandNotFound') return fail(noAgent(text, message.error))
  return fail(failure('conflict', `The agent inside the guest refuses: ${text}`, { cause: message.error }))
}

export function noAgent(why: string, cause?: unknown): Failure {
  return failure('no_guest_agent', `No agent answers inside the guest: ${why}`, { cause })
}

function connected(path: string, timeoutMs: number): Promise<Result<Socket>> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const give = (result: Result<Socket>) => {
      clearTimeout(timer)
      socket.removeAllListeners()
      if (!result.ok) socket.destroy()
      resolve(result)
    }
    const timer = setTimeout(() => give(fail(noAgent('its channel is busy'))), timeoutMs)
    socket.once('error', (cause) => give(fail(noAgent('it has no channel', cause))))
    socket.once('connect', () => give(ok(socket)))
  })
}
