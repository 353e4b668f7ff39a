/** Hosts with trust of their own on a real disk, whose agents and members of the store read it when they start. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { recordDecoder } from '@stead/api/records.ts'
import { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import { EventWriter } from '@stead/core/host/event-writer.ts'
import type { AuthorityChange, AuthorityPhase } from '@stead/core/model/authority-change.ts'
import type { Host, HostRole } from '@stead/core/model/host.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Store, Write } from '@stead/core/ports/store.ts'
import type { Result } from '@stead/core/result.ts'
import { MemoryStoreServer } from '@stead/sim/memory-store.ts'
import { SeededRandom } from '@stead/sim/seeded-random.ts'
import { VirtualClock } from '@stead/sim/virtual-clock.ts'
import { silent } from '../backend/backend-fixture.ts'
import { isCertificateOf, readCertificate, splitCertificates } from '../trust/certificate-reading.ts'
import { HostCredentials } from '../trust/host-credentials.ts'
import { trustEachOther } from '../trust/host-trust.ts'
import { signFor } from '../trust/keep-certificate.ts'
import { NO_VAULT, readAuthorities, readMaterial } from '../trust/trust-files.ts'
import { WorldTime } from './world-time-fixture.ts'
import { followAuthority, ownTrusts } from './follow-authority.ts'
import { AuthorityReplacement } from './replace-authority.ts'

const ROLES: Readonly<Record<string, HostRole>> = { h1: 'compute', h2: 'compute', w: 'witness', h4: 'compute' }
const IDS = Object.keys(ROLES) as HostId[]
/** h4 has no member of the store. */
const VOTERS = IDS.slice(0, 3)
const NOW = Date.UTC(2026, 10, 23)
const STEP_MS = 100
const RESTART_MS = 700
const ETCD_MS = 900

export class AuthorityWorld {
  readonly clock = new VirtualClock()
  readonly #time = new WorldTime(this.clock, STEP_MS, () => this.#judge())
  readonly random: SeededRandom
  readonly server = new MemoryStoreServer(this.clock)
  readonly store: Store = this.server.client()
  readonly hosts = new Map<HostId, AuthorityHost>()
  /** Whoever did not believe whom, and when. */
  readonly distrust: string[] = []
  /** When no agent ran. */
  readonly silences: number[] = []
  readonly #answers = new Map<string, boolean>()
  readonly #folder = mkdtempSync(join(tmpdir(), 'stead-authority-'))

  private constructor(seed: number) {
    this.random = new SeededRandom(seed)
  }

  static async start(seed: number): Promise<AuthorityWorld> {
    const world = new AuthorityWorld(seed)
    const trusted = IDS.map((id) => ({ id, role: ROLES[id] ?? 'compute', addresses: {}, stateDir: world.stateDir(id) }))
    await trustEachOther('demo', trusted, NOW)
    await world.coordinate('h1')
    for (const id of IDS) {
      world.hosts.set(id, new AuthorityHost(id, world))
      await world.powerOn(id)
    }
    await world.pass(1_000)
    return world
  }

  stateDir(id: string): string {
    return join(this.#folder, id)
  }

  host(id: string): AuthorityHost {
    return this.hosts.get(id as HostId) as AuthorityHost
  }

  async coordinate(id: string): Promise<void> {
    await this.put(KEYS.coordinator, { host: id, term: 1 })
  }

  async powerOn(id: string): Promise<void> {
    this.host(id).startMember()
    this.host(id).startAgent()
    await this.put(KEYS.liveness(id as HostId), { bootId: 'b' })
  }

  async powerOff(id: string): Promise<void> {
    this.host(id).stopAgent()
    this.host(id).believed = undefined
    await this.write({ kind: 'delete', key: KEYS.liveness(id as HostId) })
  }

  async put(key: string, value: unknown): Promise<void> {
    await this.write({ kind: 'put', key, value: JSON.stringify(value) })
  }

  async write(...writes: Write[]): Promise<void> {
    await this.store.transact({ compares: [], writes })
  }

  pass(ms: number): Promise<void> {
    return this.#time.pass(ms)
  }

  until(what: string, holds: () => boolean | Promise<boolean>, limitMs = 600_000): Promise<void> {
    return this.#time.until(what, holds, limitMs)
  }

  /** Undefined while the authority is not being replaced. */
  async phase(): Promise<AuthorityPhase | undefined> {
    const found = await this.store.get(KEYS.authorityChange)
    return found.ok && found.value ? (JSON.parse(found.value.value) as AuthorityChange).phase : undefined
  }

  close(): void {
    for (const host of this.hosts.values()) host.stopAgent()
    this.server.close()
    rmSync(this.#folder, { recursive: true })
  }

  /** The same question comes at each step of the clock. */
  #believes(ca: string, id: HostId, certificate: string): boolean {
    const question = `${ca}${certificate}`
    const known = this.#answers.get(question) ?? isCertificateOf(id, certificate, ca, () => false)
    this.#answers.set(question, known)
    return known
  }

  /** Each process that runs believes what each host shows: an agent what it has read, a member of the store its file. */
  #judge(): void {
    for (const shown of this.hosts.values())
      for (const other of this.hosts.values()) {
        const certificates = [
          shown.agent?.material.cert,
          shown.believed ? readMaterial(shown.stateDir).cert : undefined,
        ]
        for (const ca of [other.agent?.material.ca, other.believed])
          for (const certificate of certificates)
            if (ca !== undefined && certificate !== undefined && !this.#believes(ca, shown.id, certificate))
              this.distrust.push(`${this.clock.monotonicMs()}: ${other.id} does not believe ${shown.id}`)
      }
    if ([...this.hosts.values()].every(({ agent }) => !agent)) this.silences.push(this.clock.monotonicMs())
    const away = VOTERS.filter((id) => this.host(id).believed === undefined)
    if (away.length > 1) this.distrust.push(`${this.clock.monotonicMs()}: no majority without ${away.join()}`)
  }
}

export class AuthorityHost {
  readonly id: HostId
  readonly stateDir: string
  readonly #world: AuthorityWorld
  #ending = new AbortController()
  /** What the running agent has read. */
  agent: HostCredentials | undefined
  /** What the running member of the store has read, or the guardian where there is none. */
  believed: string | undefined
  replacement: AuthorityReplacement | undefined

  constructor(id: HostId, world: AuthorityWorld) {
    this.id = id
    this.stateDir = world.stateDir(id)
    this.#world = world
  }

  get authorities(): string[] {
    return readAuthorities(this.stateDir).map((pem) => readCertificate(pem).fingerprint)
  }

  startMember(): void {
    if (VOTERS.includes(this.id)) this.believed = readMaterial(this.stateDir).ca
  }

  stopAgent(): void {
    this.#ending.abort()
    this.agent = undefined
  }

  /** Started again by its supervisor. */
  restartAgent(): void {
    this.stopAgent()
    this.#world.clock.after(RESTART_MS, () => {
      if (!this.agent) this.startAgent()
    })
  }

  startAgent(): void {
    const { clock, store } = this.#world
    this.#ending = new AbortController()
    const { signal } = this.#ending
    const credentials = HostCredentials.load(this.stateDir)
    this.agent = credentials
    const mirror = new ClusterMirror(recordDecoder, silent)
    const members = IDS.map((hostId, at) => ({
      hostId,
      role: ROLES[hostId] ?? 'compute',
      order: at + 1,
      addresses: {},
    }))
    const config = {
      ...{ hostId: this.id, role: ROLES[this.id] ?? 'compute', stateDir: this.stateDir, clusterName: 'demo' },
      ...{ members, etcdMembers: VOTERS },
    }
    const member = VOTERS.includes(this.id)
      ? { trusts: () => this.#memberTrusts(), restart: () => this.#restartMember() }
      : undefined
    const events = new EventWriter({ store, clock, host: this.id, bootId: 'b', log: silent })
    const acknowledge = () => (signal.aborted ? Promise.resolve() : this.#register(credentials, member))
    const common = { config, credentials, vault: NO_VAULT, store, mirror, clock, log: silent }
    this.replacement = new AuthorityReplacement({ ...common, events })
    void mirror.follow(store, signal)
    void acknowledge()
    void this.replacement.lead(signal)
    const askAnother = (requestPem: string) => this.#signedByAny(requestPem)
    const end = () => {
      if (!signal.aborted) this.restartAgent()
    }
    void followAuthority({ ...common, ...(member ? { member } : {}), askAnother, acknowledge, end }, signal)
  }

  async #register(credentials: HostCredentials, member: Parameters<typeof ownTrusts>[1]): Promise<void> {
    const trusts = ownTrusts(credentials, member)
    const host: Host = {
      ...{ id: this.id, role: ROLES[this.id] ?? 'compute', order: 1, addresses: {}, agentPort: 8444, pools: [] },
      ...{ cpuCount: 1, memoryBytes: 1, bootId: 'b', accelerator: 'none', certificate: credentials.material.cert },
      ...(trusts ? { trusts } : {}),
    }
    await this.#world.put(KEYS.host(this.id), host)
  }

  #memberTrusts(): string[] | undefined {
    return this.believed === undefined
      ? undefined
      : splitCertificates(this.believed).map((pem) => readCertificate(pem).fingerprint)
  }

  async #restartMember(): Promise<void> {
    this.believed = undefined
    await this.#world.clock.sleep(ETCD_MS)
    this.startMember()
  }

  #signedByAny(requestPem: string): Promise<Result<string>> {
    const { random, clock } = this.#world
    const members = IDS.map((hostId, at) => ({
      hostId,
      role: ROLES[hostId] ?? 'compute',
      order: at + 1,
      addresses: {},
    }))
    const asked = this.#world.stateDir(random.pick(['h1', 'h2', 'h4']))
    return signFor({ stateDir: asked, members }, NO_VAULT, this.id, requestPem, clock.wallMs())
  }
}
