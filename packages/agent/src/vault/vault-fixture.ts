/** Some hosts' vaults on one store of memory, in a folder that ends with the test. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { recordDecoder } from '@stead/api/records.ts'
import { failure } from '@stead/core/errors.ts'
import { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { HostRole } from '@stead/core/model/host.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Vault as VaultRecord } from '@stead/core/model/vault.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { fail, type Result } from '@stead/core/result.ts'
import { MemoryStoreServer } from '@stead/sim/memory-store.ts'
import { MEMBERSHIP_KEY, type Member, type Membership } from '../membership/membership.ts'
import { realClock } from '../real-clock.ts'
import { HeldShares } from './held-shares.ts'
import { SealedStore } from './sealed-store.ts'
import { vaultCalls } from './vault-calls.ts'
import { VaultKeeper } from './vault-keeper.ts'
import { Vault } from './vault.ts'

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent }
const BOUND_MS = 10_000

/** Time that passes only when a look says so, so that no bound of the product is waited for. */
class OwnTime {
  #nowMs = 0
  monotonicMs = () => this.#nowMs
  pass(ms: number): void {
    this.#nowMs += ms
  }
  sleep = async (ms: number, signal?: AbortSignal): Promise<void> => {
    this.#nowMs += ms
    if (!signal?.aborted) await new Promise((resolve) => setImmediate(resolve))
  }
}

export interface VaultHost {
  readonly store: Store
  readonly keeper: VaultKeeper
  readonly vault: Vault
  readonly held: HeldShares
  readonly file: string
}

export class VaultFixture {
  readonly server = new MemoryStoreServer(realClock)
  readonly raw = this.server.client()
  readonly time = new OwnTime()
  readonly #folder = mkdtempSync(join(tmpdir(), 'stead-vault-'))
  readonly #ending = new AbortController()
  readonly #up = new Map<string, VaultHost>()
  #members: Member[]
  /** Calls that reach no host any more: what dies in the middle. */
  callsLeft = Number.POSITIVE_INFINITY

  constructor(t: { after(run: () => void): void }, ...hosts: readonly string[]) {
    this.#members = hosts.map(memberNamed)
    t.after(() => {
      this.#ending.abort()
      this.server.close()
      rmSync(this.#folder, { recursive: true })
    })
  }

  async start(...names: readonly string[]): Promise<void> {
    for (const name of names) {
      await this.#put(KEYS.host(name as HostId), hostRecord(name))
      await this.#put(KEYS.status(name as HostId), { state: 'online', bootId: 'b', since: 0, reason: '' })
      this.#up.set(name, this.#made(name))
    }
    if (!(await this.#coordinator())) await this.coordinate(names[0] ?? '')
    await this.#seen()
  }

  /** As by a power cut: what it had in memory is gone. */
  async stop(name: string): Promise<void> {
    this.#up.delete(name)
    await this.#put(KEYS.status(name as HostId), { state: 'lost', bootId: 'b', since: 0, reason: '' })
    await this.#seen()
  }

  coordinate(name: string): Promise<void> {
    return this.#put(KEYS.coordinator, { host: name, term: 1 })
  }

  /** As a host's removal and joining do it; every agent starts anew with the new members, and may have no time before. */
  async setMembers(hosts: readonly string[], revoked: readonly string[] = [], { inOrder = false } = {}): Promise<void> {
    this.#members = hosts.map(memberNamed)
    const membership: Membership = {
      ...{ members: this.#members, etcdMembers: [...hosts], revoked: [...revoked], revokedPem: '', removed: [] },
    }
    await this.#put(MEMBERSHIP_KEY, membership)
    if (inOrder) for (const { keeper } of this.#up.values()) await keeper.beforeEnd()
    const up = [...this.#up.keys()].filter((name) => hosts.includes(name))
    this.#up.clear()
    await this.start(...up)
  }

  host(name: string): VaultHost {
    const host = this.#up.get(name)
    if (!host) throw new Error(`${name} is not up`)
    return host
  }

  /** Some looks of every agent, with time enough between them for whatever is done now and then. */
  async settle(looks = 4): Promise<void> {
    for (let look = 0; look < looks; look++) {
      for (const { keeper } of this.#up.values()) await keeper.look()
      this.time.pass(61_000)
      await this.#seen()
    }
  }

  async record(): Promise<VaultRecord> {
    return JSON.parse(await this.stored(KEYS.vault)) as VaultRecord
  }

  async stored(key: string): Promise<string> {
    const found = await this.raw.get(key)
    return found.ok ? (found.value?.value ?? '') : ''
  }

  /** A call of one host to another, as their connections let it through. */
  async ask(from: string, to: string, call: string, input: unknown): Promise<Result<unknown>> {
    const host = this.#up.get(to)
    if (!host || this.callsLeft-- <= 0) return fail(failure('host_unreachable', `${to} does not answer`))
    const calls = vaultCalls(host.held, { members: this.#members }) as Record<
      string,
      (input: unknown, caller: string) => Promise<Result<unknown>>
    >
    return calls[call]?.(input, from) ?? fail(failure('not_found', call))
  }

  #made(name: string): VaultHost {
    const mirror = new ClusterMirror(recordDecoder, silent)
    const role = roleOf(name)
    const self = name as HostId
    const file = join(this.#folder, `${name}.json`)
    const vault = new Vault({ self, role, mirror, clock: this.time })
    const held = new HeldShares(file)
    const ask = (to: HostId, call: string, input: unknown) => this.ask(name, to, call, input)
    const keeper = new VaultKeeper({
      ...{ self, role, mirror, vault, held, ask, clock: this.time, log: silent, store: this.raw },
      config: { members: this.#members, etcdMembers: [] },
      files: [{ path: `${file}.secret`, place: 'a file' }],
    })
    void mirror.follow(this.server.client(), this.#ending.signal)
    const host = { store: new SealedStore(this.raw, vault), keeper, vault, held, file }
    this.#mirrors.set(host, mirror)
    return host
  }

  readonly #mirrors = new Map<VaultHost, ClusterMirror>()

  /** Every copy is as far as the store. */
  async #seen(): Promise<void> {
    const found = await this.raw.range('/stead/')
    const revision = found.ok ? found.value.entries.reduce((max, { modRevision: r }) => (r > max ? r : max), 0n) : 0n
    for (const host of this.#up.values()) {
      const mirror = this.#mirrors.get(host)
      const late = new Promise((resolve) => setTimeout(resolve, BOUND_MS).unref())
      if (!(await mirror?.until(() => mirror.revision >= revision, late))) throw new Error('a copy lags behind')
    }
  }

  async #coordinator(): Promise<boolean> {
    return (await this.stored(KEYS.coordinator)) !== ''
  }

  async #put(key: string, value: unknown): Promise<void> {
    await this.raw.transact({ compares: [], writes: [{ kind: 'put', key, value: JSON.stringify(value) }] })
  }
}

function roleOf(name: string): HostRole {
  return name === 'witness' ? 'witness' : 'compute'
}

function memberNamed(hostId: string, index: number): Member {
  return { hostId, role: roleOf(hostId), order: index + 1, addresses: { lan: `192.0.2.${index + 1}` } }
}

function hostRecord(id: string) {
  return {
    ...{ id, role: roleOf(id), order: Number(id.replaceAll(/\D/g, '')), addresses: {}, agentPort: 8444, pools: [] },
    ...{ cpuCount: 1, memoryBytes: 1, bootId: 'b', accelerator: 'none' },
  }
}
