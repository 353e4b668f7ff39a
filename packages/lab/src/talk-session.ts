/** A client that keeps one TCP session to a guest's echo server (port 7) and says something every 10 ms. */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

/** Counts what comes back, and the longest time without anything. */
const TALK = `
const socket = require('node:net').connect(7, process.argv[1])
let sent = 0, echoed = 0, gapMs = 0, last = 0, closing = false
const now = () => Number(process.hrtime.bigint()) / 1e6
const done = () => { console.log(JSON.stringify({ sent, echoed, gapMs })); process.exit(0) }
const tick = () => { if (closing) return; socket.write('x'); sent += 1; setTimeout(tick, 10) }
socket.setNoDelay(true)
socket.on('connect', () => { last = now(); console.log('open'); tick() })
socket.on('data', (data) => {
  echoed += data.length
  gapMs = Math.max(gapMs, now() - last)
  last = now()
  if (closing && echoed >= sent) done()
})
socket.on('error', (error) => { console.log(JSON.stringify({ error: error.message })); process.exit(1) })
process.stdin.on('data', () => { closing = true; if (echoed >= sent) done(); setTimeout(done, 5000) })
`

/** What runs in the client's namespace. */
export function talkCommand(address: string): readonly string[] {
  return [process.execPath, '-e', TALK, address]
}

export interface TalkReport {
  readonly sent: number
  readonly echoed: number
  /** The longest time without an answer, ms, as the client sees it. */
  readonly gapMs: number
}

export class TalkSession {
  readonly #child: ChildProcess
  #output = ''

  private constructor(child: ChildProcess) {
    this.#child = child
    child.stdout?.on('data', (data: Buffer) => (this.#output += data.toString()))
  }

  /** The session, once the process has said that it is open; undefined when it ended before. */
  static async open(child: ChildProcess): Promise<TalkSession | undefined> {
    const session = new TalkSession(child)
    const ended = once(child, 'exit')
    while (!session.#output.includes('open') && child.exitCode === null)
      await Promise.race([once(child.stdout!, 'data'), ended])
    return child.exitCode === null ? session : undefined
  }

  /** Ends it once all that was sent has come back, or 5 s later. */
  async close(): Promise<TalkReport> {
    const ended = once(this.#child, 'exit')
    this.#child.stdin?.write('end\n')
    await ended
    const report = JSON.parse(this.#output.trim().split('\n').at(-1) ?? '{}') as TalkReport & { error?: string }
    assert.equal(report.error, undefined)
    return report
  }
}
