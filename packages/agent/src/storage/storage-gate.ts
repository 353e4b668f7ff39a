/**
 * Before the storage daemons of this host stands its gate (`native/stead-storage-gate.c`): other hosts connect to it in
 * TLS, with a key for one export that this host's agent has given them. Programs of this host go past it, in clear.
 * docs/internals/trust.md.
 */
import { createHmac, randomBytes } from 'node:crypto'
import { chownSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { assert } from '@stead/core/assert.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { ExportAddress, ExportKey, VolumeHost } from '@stead/core/ports/volume-host.ts'
import type { Result } from '@stead/core/result.ts'
import type { AgentConfig } from '../config.ts'
import { Companion } from '../process/companion.ts'
import { killDetached, readPidFile, type DetachedSpec } from '../process/detached.ts'
import { LegProbe } from './leg-probe.ts'
import { PROBE_EXPORT } from './storage-daemon.ts'

const LOOK_MS = 2_000
const ANSWER_MS = 1_000
/** A gate that is silent so many times, while a daemon behind it answers, is replaced. */
const SILENCES_MAX = 3

/** TCP ports of a pool: of its storage daemon, and of the gate before that. */
export interface StorageDoorway {
  readonly daemonPort: number
  readonly port: number
}

export interface StorageGateOptions {
  readonly config: Pick<AgentConfig, 'hostId' | 'stateDir' | 'members' | 'nativeDir' | 'guestUser'>
  readonly doorways: readonly StorageDoorway[]
  /** Where it listens; everywhere when absent. */
  readonly address?: string
  readonly bootId: string
  /** Path of `stead-run-guest`. */
  readonly helper: string
  readonly onRestart: () => void
  readonly clock: Clock
  readonly log: Log
}

export class StorageGate {
  readonly #options: StorageGateOptions
  readonly #folder: string
  readonly #secret: Buffer
  readonly #companion: Companion

  constructor(options: StorageGateOptions) {
    const { config, bootId, helper, onRestart, clock, log } = options
    this.#options = options
    this.#folder = join(config.stateDir, 'storage-gate')
    // Runs under the guests' user, and reads one file in it.
    mkdirSync(this.#folder, { recursive: true, mode: 0o711 })
    this.#secret = secretOfBoot(this.#accessFile, bootId) ?? randomBytes(32)
    this.#companion = new Companion({
      ...{ name: 'the storage gate', helper, clock, log, onRestart },
      spec: () => this.#spec(),
    })
  }

  /** Runs until aborted; the gate stays. */
  async keep(signal: AbortSignal): Promise<void> {
    const [doorway] = this.#options.doorways
    if (!doorway) return
    this.#writeAccess()
    await this.#endOther()
    await Promise.all([this.#companion.keep(signal), this.#replaceWhenSilent(doorway, signal)])
  }

  /** What opens the export, for this host or another one. Only ever given to a host that has shown who it is. */
  keyFor(host: string, exportName: string): ExportKey {
    const identity = `${host}/${exportName}`
    return { identity, secret: createHmac('sha256', this.#secret).update(identity).digest('hex') }
  }

  /** This host's replicas as `host` has them: with the keys of what is opened for it. */
  openTo(host: string, volumes: VolumeHost): VolumeHost {
    const keyed =
      <Request, Address extends ExportAddress>(serve: (request: Request) => Promise<Result<Address>>) =>
      async (request: Request): Promise<Result<Address>> => {
        const served = await serve(request)
        return served.ok ? { ok: true, value: { ...served.value, gate: this.#gateTo(host, served.value) } } : served
      }
    const opening: Pick<VolumeHost, 'exportToGuest' | 'serveAnew' | 'exportAsTarget'> = {
      exportToGuest: keyed((request) => volumes.exportToGuest(request)),
      serveAnew: keyed((request) => volumes.serveAnew(request)),
      exportAsTarget: keyed((request) => volumes.exportAsTarget(request)),
    }
    return new Proxy(volumes, {
      get: (target, name) => {
        const found: unknown = Reflect.get(name in opening ? opening : target, name)
        return typeof found === 'function' ? found.bind(target) : found
      },
    })
  }

  #gateTo(host: string, { exportName, port: daemonPort }: ExportAddress): NonNullable<ExportAddress['gate']> {
    const doorway = this.#options.doorways.find((each) => each.daemonPort === daemonPort)
    assert(doorway, `no doorway leads to port ${daemonPort}`)
    return { port: doorway.port, key: this.keyFor(host, exportName) }
  }

  #spec(): DetachedSpec {
    const { config } = this.#options
    return {
      command: join(config.nativeDir, 'stead-storage-gate'),
      args: this.#arguments,
      pidFile: this.#pidFile,
      stdoutPath: join(this.#folder, 'stdout.log'),
      stderrPath: join(this.#folder, 'stderr.log'),
      ...(config.guestUser ? { user: config.guestUser } : {}),
    }
  }

  get #arguments(): string[] {
    const { doorways, address = '0.0.0.0' } = this.#options
    return [
      this.#accessFile,
      address,
      ...doorways.flatMap(({ port, daemonPort }) => [String(port), String(daemonPort)]),
    ]
  }

  /** Renamed into its place: it is read at each handshake. A host that is removed is in it no more. */
  #writeAccess(): void {
    const { config, bootId } = this.#options
    const hosts = config.members.map(({ hostId }) => `host ${hostId}`)
    const half = `${this.#accessFile}.new`
    const lines = [`boot ${bootId}`, `secret ${this.#secret.toString('hex')}`, ...hosts]
    writeFileSync(half, `${lines.join('\n')}\n`, { mode: 0o600 })
    if (config.guestUser) chownSync(half, config.guestUser.uid, config.guestUser.gid)
    renameSync(half, this.#accessFile)
  }

  /** One that an earlier agent started with other pools. */
  async #endOther(): Promise<void> {
    const found = readPidFile(this.#pidFile)
    if (!found) return
    const [, ...given] = readFileSync(`/proc/${found.pid}/cmdline`, 'utf8').split('\0').slice(0, -1)
    if (given.join(' ') === this.#arguments.join(' ')) return
    this.#options.log.warn('the storage gate is started anew, for other pools', { given })
    await killDetached(found, this.#pidFile)
  }

  /** A gate that is frozen keeps its connections and says nothing; its clients have gone on without it. */
  async #replaceWhenSilent({ daemonPort, port }: StorageDoorway, signal: AbortSignal): Promise<void> {
    const { config, clock, log } = this.#options
    const probe = new LegProbe()
    const own = { kind: 'tcp', address: '127.0.0.1' } as const
    const key = this.keyFor(config.hostId, PROBE_EXPORT)
    for (let silences = 0; !signal.aborted;) {
      await clock.sleep(LOOK_MS, signal)
      const daemon = await probe.ask({ ...own, port: daemonPort }, ANSWER_MS)
      const through = daemon === 'alive' ? await probe.ask({ ...own, port, key }, ANSWER_MS) : daemon
      silences = daemon === 'alive' && through === 'unresponsive' ? silences + 1 : 0
      if (silences < SILENCES_MAX || signal.aborted) continue
      log.error('the storage gate does not answer, and is started again')
      await this.#companion.kill()
      this.#companion.look()
      silences = 0
    }
  }

  get #accessFile(): string {
    return join(this.#folder, 'access')
  }

  get #pidFile(): string {
    return join(this.#folder, 'pid')
  }
}

/** What was given since the host's last boot stays good: exports do too. */
function secretOfBoot(file: string, bootId: string): Buffer | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    // The first agent of this host.
    return undefined
  }
  const secret = /^secret ([0-9a-f]{64})$/m.exec(text)?.[1]
  return secret !== undefined && text.startsWith(`boot ${bootId}\n`) ? Buffer.from(secret, 'hex') : undefined
}
