/** A client on the lab's LAN that keeps one TCP session to a guest's echo server and says something every 10 ms. */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { LabCluster } from './lab-cluster.ts'

const STEAD = new URL('../../bin/stead', import.meta.url).pathname

/** Runs in the client's namespace: counts what comes back, and the longest time without anything. */
const TALK = `
const socket = require('node:net').connect(7, process.argv[1])
let sent = 0, echoed = 0, gapMs = 0, last = 0, closing = false
const now = () => Number(process.hrtime.bigint()) / 1e6
socket.setNoDelay(true)
socket.on('connect', () => { last = now(); console.log('open'); tick() })
socket.on('data', (data) => { echoed += data.length; gapMs = Math.max(gapMs, now() - last); last = now(); if (closing && echoed >= sent) done() })
socket.on('error', (error) => { console.log(JSON.stringify({ error: error.message })); process.exit(1) })
const tick = () => { if (closing) return; socket.write('x'); sent += 1; setTimeout(tick, 10) }
const done = () => { console.log(JSON.stringify({ sent, echoed, gapMs })); process.exit(0) }
process.stdin.on('data', () => { closing = true; if (echoed >= sent) done(); setTimeout(done, 5000) })
`

export interface TcpSessionReport {
  readonly sent: number
  readonly echoed: number
  /** The longest time without an answer, ms, as the client sees it. */
  readonly gapMs: number
}

export class TcpSession {
  readonly #child: ChildProcess
  #output = ''

  private constructor(child: ChildProcess) {
    this.#child = child
    child.stdout?.on('data', (data: Buffer) => (this.#output += data.toString()))
  }

  /** Tries until the guest's echo server answers. */
  static async open(lab: LabCluster, address: string): Promise<TcpSession> {
    let session: TcpSession | undefined
    await lab.until('the guest answers', async () => {
      const command = ['lab', 'client', '--', process.execPath, '-e', TALK, address]
      const tried = new TcpSession(lab.spawn(STEAD, command, 'pipe'))
      await Promise.race([once(tried.#child, 'exit'), tried.#said('open')])
      if (tried.#child.exitCode !== null) return false
      session = tried
      return true
    })
    assert(session)
    return session
  }

  /** Ends the session once all that was sent has come back, or 5 s later. */
  async close(): Promise<TcpSessionReport> {
    const ended = once(this.#child, 'exit')
    this.#child.stdin?.write('end\n')
    await ended
    const report = JSON.parse(this.#output.trim().split('\n').at(-1) ?? '{}') as TcpSessionReport & { error?: string }
    assert.equal(report.error, undefined)
    return report
  }

  async #said(word: string): Promise<void> {
    while (!this.#output.includes(word)) await once(this.#child.stdout!, 'data')
  }
}
