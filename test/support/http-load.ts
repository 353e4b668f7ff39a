/** A crowd at the public ports of a lab's hosts. */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { STEAD, type LabCluster } from './lab-cluster.ts'

/** How often each kind of client was answered with which status. */
export type CrowdReport = Readonly<Record<string, Readonly<Record<string, number>>>>

export class HttpCrowd {
  readonly #child: ChildProcess
  #output = ''
  #complaints = ''

  private constructor(child: ChildProcess) {
    this.#child = child
    child.stdout?.on('data', (part: Buffer) => (this.#output += part.toString()))
    child.stderr?.on('data', (part: Buffer) => (this.#complaints += part.toString()))
  }

  /** Asks these hosts as an auditor, whom it makes. */
  static async begin(lab: LabCluster, hosts: readonly string[]): Promise<HttpCrowd> {
    await lab.must('user', 'create', 'crowd')
    await lab.must('permission', 'grant', '/', 'Auditor', '--user', 'crowd')
    const { token } = await lab.json<{ token: string }>('token', 'create', 'crowd', 'load')
    const listed = await lab.hosts()
    const addresses = hosts.map((host) => listed.find(({ name }) => name === host)?.addresses['lan'] ?? '')
    const program = [process.execPath, join(import.meta.dirname, 'http-load-main.ts'), token, ...addresses]
    const crowd = new HttpCrowd(lab.spawn(STEAD, ['lab', 'client', '--', ...program], 'pipe'))
    await lab.until('the crowd has begun', () => Promise.resolve(crowd.#output.includes('begun')))
    return crowd
  }

  async end(): Promise<CrowdReport> {
    const ended = once(this.#child, 'close')
    this.#child.stdin?.end()
    await ended
    const last = this.#output.trim().split('\n').at(-1) ?? ''
    assert.match(last, /^\{/, `the crowd told nothing: ${this.#complaints}`)
    return JSON.parse(last) as CrowdReport
  }
}
