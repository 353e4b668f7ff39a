/** Hosts at one LAN and one store, in virtual time. The kernel of each lets the address go by itself, a second late at worst. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { recordDecoder } from '@stead/api/records.ts'
import { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import { DEFAULT_POLICY } from '@stead/core/model/cluster-policy.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { ok } from '@stead/core/result.ts'
import { MemoryStoreServer } from '@stead/sim/memory-store.ts'
import { VirtualClock } from '@stead/sim/virtual-clock.ts'
import { ADDRESS_TTL_MS, ClusterAddress } from './cluster-address.ts'
import { gratuitousArp, type LanAddress } from './lan-address.ts'

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent }
const ADDRESS = '192.0.2.10'
const KERNEL_LATE_MS = 999

class Lan {
  readonly clock = new VirtualClock()
  readonly server = new MemoryStoreServer(this.clock, { expirySlackMs: 500 })
  readonly store = this.server.client()
  readonly hosts = new Map<string, LanHost>()

  /** Who answers now. Never two. */
  get holders(): readonly string[] {
    const now = this.clock.monotonicMs()
    const found = [...this.hosts.values()].filter(({ keptUntilMs }) => keptUntilMs > now).map(({ id }) => id)
    assert.ok(found.length <= 1, `${found.join(' and ')} hold the address at ${now}`)
    return found
  }

  host(id: string): LanHost {
    const host = new LanHost(id, this)
    this.hosts.set(id, host)
    host.start()
    return host
  }

  async write(key: string, value: object): Promise<void> {
    const writes = [{ kind: 'put' as const, key, value: JSON.stringify(value) }]
    const written = this.store.transact({ compares: [], writes })
    await this.clock.advance(1)
    assert.ok((await written).ok)
  }

  coordinator = (host: string, term: number) => this.write(KEYS.coordinator, { host, term })
  address = (clusterAddress?: string) =>
    this.write(KEYS.clusterPolicy, { ...DEFAULT_POLICY, ...(clusterAddress === undefined ? {} : { clusterAddress }) })

  /** Looks at every moment at which something can have happened. */
  async until(holder: string | undefined, limitMs: number): Promise<boolean> {
    return this.clock.until(() => this.holders[0] === holder, limitMs)
  }

  async stays(holder: string | undefined, forMs: number): Promise<void> {
    const other = await this.clock.until(() => this.holders[0] !== holder, forMs)
    assert.equal(other, false, `it does not stay at ${holder}`)
  }
}

class LanHost implements LanAddress {
  readonly id: string
  readonly #lan: Lan
  keptUntilMs = 0
  announcements = 0
  /** How long `ip` takes. */
  slowMs = 0
  isOnLan = true
  address!: ClusterAddress
  #life = new AbortController()

  constructor(id: string, lan: Lan) {
    this.id = id
    this.#lan = lan
  }

  start(): void {
    const { clock, server } = this.#lan
    this.#life = new AbortController()
    const mirror = new ClusterMirror(recordDecoder, silent)
    const store = server.client()
    void mirror.follow(store, this.#life.signal)
    this.address = new ClusterAddress({ self: this.id as HostId, store, mirror, lan: this, clock, log: silent })
    void this.address.run(this.#life.signal)
  }

  /** The agent is gone; its host's kernel is not. */
  kill(): void {
    this.#life.abort()
  }

  canHold(): boolean {
    return this.isOnLan
  }

  async hold(_address: string, seconds: number) {
    await this.#lan.clock.sleep(this.slowMs)
    this.keptUntilMs = this.#lan.clock.monotonicMs() + seconds * 1000 + KERNEL_LATE_MS
    return ok()
  }

  async release() {
    this.keptUntilMs = 0
    return ok()
  }

  announce(): void {
    this.announcements += 1
  }
}

async function started(...ids: readonly string[]): Promise<Lan> {
  const lan = new Lan()
  for (const id of ids) lan.host(id)
  await lan.coordinator(ids[0] ?? '', 1)
  await lan.address(ADDRESS)
  return lan
}

test('the coordinator takes the address, tells the LAN so, and keeps it', async () => {
  const lan = await started('h1', 'h2')
  assert.ok(await lan.until('h1', 1_000))
  await lan.stays('h1', 60_000)
  assert.equal(lan.hosts.get('h1')?.announcements, 3)
  assert.equal(lan.hosts.get('h2')?.announcements, 0)
  assert.deepEqual([lan.hosts.get('h1')?.address.held, lan.hosts.get('h2')?.address.held], [ADDRESS, undefined])
})

test('when its holder dies another one takes it, once the kernel of the first has let it go', async () => {
  const lan = await started('h1', 'h2')
  await lan.until('h1', 1_000)
  lan.hosts.get('h1')?.kill()
  await lan.coordinator('h2', 2)
  assert.ok(await lan.until(undefined, 5_000))
  assert.ok(await lan.until('h2', ADDRESS_TTL_MS + 1_000))
  await lan.stays('h2', 20_000)
})

test('an agent that is dead on a host that still coordinates leaves it to the others', async () => {
  const lan = await started('h1', 'h2')
  await lan.until('h1', 1_000)
  lan.hosts.get('h1')?.kill()
  assert.ok(await lan.until('h2', ADDRESS_TTL_MS + 5_000))
})

test('an agent that is started again goes on with it, without a gap', async () => {
  const lan = await started('h1', 'h2')
  await lan.until('h1', 1_000)
  lan.hosts.get('h1')?.kill()
  lan.hosts.get('h1')?.start()
  await lan.stays('h1', 20_000)
})

test('it goes over to a new coordinator at once', async () => {
  const lan = await started('h1', 'h2', 'h3')
  await lan.until('h1', 1_000)
  await lan.coordinator('h3', 2)
  assert.ok(await lan.until('h3', 1_000))
  await lan.stays('h3', 20_000)
})

test('while the store is away nobody has it for longer than the lease lives; then the same or another', async () => {
  const lan = await started('h1', 'h2')
  await lan.until('h1', 1_000)
  lan.server.freeze()
  assert.ok(await lan.until(undefined, ADDRESS_TTL_MS))
  await lan.stays(undefined, 60_000)
  lan.server.thaw()
  assert.ok(await lan.clock.until(() => lan.holders.length === 1, 20_000))
})

test('an address that is taken away, or changed, is let go at once', async () => {
  const lan = await started('h1', 'h2')
  await lan.until('h1', 1_000)
  await lan.address('192.0.2.11')
  assert.ok(await lan.clock.until(() => lan.hosts.get('h1')?.address.held === '192.0.2.11', 2_000))
  await lan.address(undefined)
  assert.ok(await lan.until(undefined, 500))
  await lan.stays(undefined, 20_000)
  assert.equal(lan.server.get(KEYS.addressHolder), undefined)
})

test('a coordinator on another LAN leaves it to a host that can have it', async () => {
  const lan = new Lan()
  lan.host('h1').isOnLan = false
  lan.host('h2')
  await lan.coordinator('h1', 1)
  await lan.address(ADDRESS)
  assert.ok(await lan.until('h2', 5_000))
  await lan.stays('h2', 20_000)
})

test('a host that stood still before it had the address lets it go again', async () => {
  const lan = await started('h1', 'h2')
  await lan.until('h1', 1_000)
  const slow = lan.hosts.get('h1') as LanHost
  slow.slowMs = 4_500
  assert.ok(await lan.clock.until(() => lan.holders.length === 0, 30_000))
  slow.slowMs = 0
  assert.ok(await lan.clock.until(() => lan.holders.length === 1, 20_000))
})

test('the announcement is a gratuitous ARP frame', () => {
  assert.equal(
    gratuitousArp('02:00:0a:0b:0c:0d', '192.0.2.10'),
    'ffffffffffff02000a0b0c0d0806000108000604000102000a0b0c0dc000020a000000000000c000020a',
  )
})
