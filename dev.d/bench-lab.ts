/** A lab for measuring: the tests' fixture, and beside it what must be timed in this very process. */
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient, type Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { readContext } from '@stead/cli/context.ts'
import { unixTransport } from '@stead/client/node-transport.ts'
import type { ClusterEvent, EventKind } from '@stead/core/model/event.ts'
import type { Result } from '@stead/core/result.ts'
import { cutCable, dropLinks } from '@stead/lab/cables.ts'
import { cgroupFolder, processesOf } from '@stead/lab/control-group.ts'
import { powerOff, signalProcess } from '@stead/lab/lab-host.ts'
import { findLab, type Lab } from '@stead/lab/lab.ts'
import { hostFolder, labPlaces } from '@stead/lab/topology.ts'
import { LabCluster } from '../test/support/lab-cluster.ts'

const POLL_MS = 25
const WAIT_MS = 90_000

export class BenchLab {
  readonly cluster: LabCluster
  readonly #lab: Lab
  readonly #client: Client
  /** Of `lab up` until every host is online, ms. */
  readonly upMs: number

  private constructor(cluster: LabCluster, lab: Lab, client: Client, upMs: number) {
    this.cluster = cluster
    this.#lab = lab
    this.#client = client
    this.upMs = upMs
  }

  /** Three hosts. Always end it with `down`. */
  static async up(options: { readonly btrfsPool?: true } = {}): Promise<BenchLab> {
    const startedMs = monotonicMs()
    const cluster = await LabCluster.up({ hosts: 3, ...options })
    const upMs = monotonicMs() - startedMs
    try {
      const lab = must(findLab(cluster.env, must(labPlaces(cluster.env))))
      const context = must(await readContext(cluster.env))
      const token = context.token === undefined ? {} : { token: context.token }
      const client = createClient({
        targets: context.endpoints,
        transport: unixTransport,
        ...token,
        patienceMs: 20_000,
      })
      return new BenchLab(cluster, lab, client, upMs)
    } catch (error) {
      await cluster.down()
      throw error
    }
  }

  down(): Promise<void> {
    return this.cluster.down()
  }

  get hosts(): readonly string[] {
    return this.#lab.notes.hosts.map((host) => host.id)
  }

  processesByHost(): ReadonlyMap<string, readonly number[]> {
    return new Map(
      this.hosts.map((host) => [
        host,
        processesOf(cgroupFolder(this.#lab.boot.cgroupRoot, this.#lab.boot.places.lab, host)),
      ]),
    )
  }

  /** Read in this process: a command line of its own for each look would load the machine that is measured. */
  async events(): Promise<readonly ClusterEvent[]> {
    const { items } = must(await this.#client.call(ENDPOINTS['event.list'], { query: {} } as never)) as {
      readonly items: readonly ClusterEvent[]
    }
    return items
  }

  /** The first event of the kind (and, if given, about this host) that was told after the moment, monotonic ms. */
  async eventAfter(sinceMs: number, kind: EventKind, host?: string): Promise<ClusterEvent> {
    const fits = (event: ClusterEvent) =>
      event.kind === kind && event.monotonicMs > sinceMs && (host === undefined || event.details?.['host'] === host)
    return this.until(`${kind} is told`, async () => (await this.events()).find(fits))
  }

  /** Pulls the plug. Returns the moment just before the links went down, monotonic ms. */
  async pullPlug(host: string): Promise<number> {
    const pulledMs = monotonicMs()
    must(await dropLinks(this.#lab.boot.places.lab, host))
    must(await powerOff(this.#lab.boot, host))
    return pulledMs
  }

  /** Signals a host's storage daemons. Returns the moment just before, monotonic ms. */
  harmStorage(host: string, signal: NodeJS.Signals): number {
    const harmedMs = monotonicMs()
    must(signalProcess(this.#lab.boot, host, 'qsd', signal))
    return harmedMs
  }

  /** Pulls the storage cable at the switch. Returns the moment just before, monotonic ms. */
  async cutStorage(host: string): Promise<number> {
    const cutMs = monotonicMs()
    must(await cutCable(this.#lab.boot.places, host, ['san']))
    return cutMs
  }

  /** The console of the guest's present boot on a host, past the agents. */
  console(host: string, guestId: string): string {
    try {
      return readFileSync(join(hostFolder(this.#lab.boot.places, host), 'guests', guestId, 'console.log'), 'latin1')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
      throw error
    }
  }

  /** The last record that the guest was told is safe. */
  acknowledged(host: string, guestId: string): number {
    const text = this.console(host, guestId)
    const last = [...text.slice(-4_000).matchAll(/^(?:ACK|RESUME) (\d+)\r?$/gm)].at(-1)
    return Number(last?.[1] ?? 0)
  }

  /** Makes this host's etcd member the leader; false when it is that already or will not. */
  async moveLeader(to: string): Promise<boolean> {
    const leader = await this.storeLeader()
    if (leader === to) return false
    const target = (await this.#etcdStatus(to))?.header?.member_id
    if (leader === undefined || target === undefined) return false
    await this.#etcd(leader, '/v3/maintenance/transfer-leadership', { targetID: target })
    return (await this.storeLeader()) === to
  }

  async storeLeader(): Promise<string | undefined> {
    for (const host of this.hosts) {
      const status = await this.#etcdStatus(host)
      if (status?.leader !== undefined && status.leader === status.header?.member_id) return host
    }
    return undefined
  }

  async coordinator(): Promise<string | undefined> {
    const view = must(await this.#client.call(ENDPOINTS['cluster.show'], {} as never)) as {
      readonly coordinator?: string | { readonly host?: string } | null
    }
    return typeof view.coordinator === 'string' ? view.coordinator : view.coordinator?.host
  }

  async until<T>(what: string, look: () => Promise<T | undefined> | T | undefined): Promise<T> {
    const end = monotonicMs() + WAIT_MS
    while (monotonicMs() < end) {
      const found = await look()
      if (found !== undefined) return found
      await sleep(POLL_MS)
    }
    throw new Error(`not within ${WAIT_MS / 1000} s: ${what}`)
  }

  async #etcdStatus(
    host: string,
  ): Promise<{ readonly leader?: string; readonly header?: { readonly member_id?: string } } | undefined> {
    return this.#etcd(host, '/v3/maintenance/status', {})
  }

  async #etcd<T>(host: string, path: string, body: object): Promise<T | undefined> {
    const { places } = this.#lab.boot
    const socketPath = join(hostFolder(places, host), 'etcd', 'localhost:2379')
    const text = JSON.stringify(body)
    const headers = { 'content-length': Buffer.byteLength(text) }
    return new Promise((resolve) => {
      const call = request({ socketPath, path, method: 'POST', headers, timeout: 10_000 }, (response) => {
        let answer = ''
        response.on('data', (data) => (answer += String(data)))
        response.on('end', () => resolve(JSON.parse(answer) as T))
        response.on('error', () => resolve(undefined))
      })
      call.on('timeout', () => call.destroy())
      call.on('error', () => resolve(undefined))
      call.end(text)
    })
  }
}

/** The clock of all events of a lab: CLOCK_MONOTONIC, ms. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

export function must<T>(result: Result<T>): T {
  if (!result.ok)
    throw new Error(`${result.error.message}${result.error.hint === undefined ? '' : ` (${result.error.hint})`}`, {
      cause: result.error,
    })
  return result.value
}

export interface Spread {
  readonly min: number
  readonly median: number
  readonly max: number
  readonly values: readonly number[]
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  return {
    min: sorted[0] ?? Number.NaN,
    median: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN,
    max: sorted.at(-1) ?? Number.NaN,
    values,
  }
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
