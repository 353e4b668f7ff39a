/** The API that benchmarks ask: a process of its own, ordered about from here. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import type { RigAnswer, RigOrder } from './api-rig.ts'

export class Rig {
  readonly #process: ChildProcess
  readonly #keepAlive = new Agent({ keepAlive: true, maxSockets: 4 })
  #port = 0
  #token = ''

  private constructor(process: ChildProcess) {
    this.#process = process
  }

  static async start(guests: number): Promise<Rig> {
    const rig = new Rig(fork(join(import.meta.dirname, 'api-rig.ts'), [String(guests)]))
    const [answer] = (await once(rig.#process, 'message', { signal: AbortSignal.timeout(60_000) })) as [RigAnswer]
    if ('port' in answer) [rig.#port, rig.#token] = [answer.port, answer.token]
    return rig
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get token(): string {
    return this.#token
  }

  async order(order: RigOrder): Promise<RigAnswer> {
    const answered = once(this.#process, 'message', { signal: AbortSignal.timeout(60_000) })
    this.#process.send(order)
    return ((await answered) as [RigAnswer])[0]
  }

  /** Processor time of the server since it was asked before, ms. */
  async used(): Promise<number> {
    const answer = await this.order({ do: 'use' })
    return 'processorMs' in answer ? answer.processorMs : 0
  }

  /** The length of the answer, bytes. */
  async get(path: string): Promise<number> {
    const response = await this.open(path, this.#keepAlive)
    let bytes = 0
    for await (const chunk of response) bytes += (chunk as Buffer).length
    if (response.statusCode !== 200) throw new Error(`${path}: HTTP ${response.statusCode}, ${bytes} bytes`)
    return bytes
  }

  async open(path: string, agent?: Agent) {
    const headers = { authorization: `Bearer ${this.#token}` }
    const sent = request({
      port: this.#port,
      host: '127.0.0.1',
      path,
      headers,
      ...(agent ? { agent } : { agent: false }),
    })
    sent.end()
    const [response] = (await once(sent, 'response')) as [import('node:http').IncomingMessage]
    return response
  }

  async stop(): Promise<void> {
    const gone = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await gone
    this.#keepAlive.destroy()
  }
}
