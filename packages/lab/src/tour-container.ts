/** The container that `--with-container` puts beside the tour's virtual machine: its host falls under both. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { buildRecorderTemplate, RECORDS_FILE } from './recorder-template.ts'
import { must, TourGuest, type WaitUntil } from './tour-guest.ts'

const NAME = 'demo-ct'
const TEMPLATE = 'recorder'
const SIZE = ['--memory', '64MiB', '--disk', '64MiB', '--processes', '50']

export class TourContainer {
  readonly guest: TourGuest
  readonly #client: Client
  /** The command line of this repository. */
  readonly #stead: string
  readonly #nativeDir: string

  constructor(options: {
    readonly client: Client
    readonly until: WaitUntil
    readonly stead: string
    readonly nativeDir: string
  }) {
    this.#client = options.client
    this.#stead = options.stead
    this.#nativeDir = options.nativeDir
    this.guest = new TourGuest(NAME, options.client, options.until)
  }

  /** Makes it, or takes the one of an earlier tour there. */
  async runOn(host: string): Promise<void> {
    const present = await this.#client.call(ENDPOINTS['guest.show'], { params: { guest: NAME } })
    if (!present.ok) {
      await this.#importTemplate()
      await this.#run('ct', 'create', NAME, '--template', TEMPLATE, ...SIZE, '--host', host, '--start')
    } else if (present.value.host !== host) await this.#run('ct', 'migrate', NAME, '--to', host)
    await this.guest.untilProtected()
  }

  /** How many of the first records its own file lacks. */
  async missing(last: number): Promise<number> {
    const command = ['recorder', 'verify', RECORDS_FILE, '1', String(last)]
    const input = { params: { guest: NAME }, body: { command, timeoutMs: 30_000 } }
    const { stdout, stderr } = must(await this.#client.call(ENDPOINTS['guest-agent.execute'], input))
    if (!stdout.startsWith('{')) throw new Error(`${NAME} cannot look at its records: ${stderr}`)
    return (JSON.parse(stdout) as { missing: number[] }).missing.length
  }

  async #importTemplate(): Promise<void> {
    const { items } = must(await this.#client.call(ENDPOINTS['template.list']))
    if (items.some(({ name }) => name === TEMPLATE)) return
    const work = await mkdtemp(join(tmpdir(), 'stead-tour-'))
    try {
      const archive = await buildRecorderTemplate(work, join(this.#nativeDir, 'recorder'))
      await this.#run('template', 'import', archive, TEMPLATE)
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  }

  /** As somebody would type it. */
  async #run(...args: readonly string[]): Promise<void> {
    await promisify(execFile)(this.#stead, args, { timeout: 90_000 })
  }
}
