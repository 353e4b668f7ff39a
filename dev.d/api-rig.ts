/**
 * What the API's benchmark asks: the agent's real back end, guard and server on loopback, behind it a store in memory with
 * a cluster of many guests. A process of its own, so that what it uses of the processor is the server's alone.
 */
import { createHash } from 'node:crypto'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { decide } from '@stead/core/access/decide.ts'
import { SECRET_KEYS } from '@stead/core/model/keys.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { accessRecordsOf } from '@stead/agent/access/access-records.ts'
import { TokenOwners } from '@stead/agent/access/token-owners.ts'
import { TestBackend } from '@stead/agent/backend/backend-fixture.ts'
import { startApiServer } from '@stead/agent/http/api-server.ts'
import { webFiles } from '@stead/agent/http/web-files.ts'
import { realClock } from '@stead/agent/real-clock.ts'

export type RigOrder =
  | { readonly do: 'use' }
  /** One guest's view changes; the moment, wall clock ms, stands in its reason. */
  | { readonly do: 'change'; readonly guest: number }
  | { readonly do: 'decide'; readonly times: number }
export type RigAnswer =
  | { readonly port: number; readonly token: string }
  | { readonly processorMs: number }
  | { readonly nanoseconds: number }
  | { readonly done: true }

const HOSTS = 10
const ADMINISTRATORS = 20
const NO_LIMITS = 1e9

const silent = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent }

async function main(guests: number): Promise<void> {
  const fixture = new ClusterFixture(HOSTS)
  for (let number = 0; number < guests; number++) {
    const [host, other] = [`h${1 + (number % HOSTS)}`, `h${1 + ((number + 1) % HOSTS)}`]
    const { guest } = fixture.guestWithDisk(`guest-${number}`, [host, other])
    fixture.grant(guest, host)
    fixture.observe(guest, {})
  }
  const backend = await TestBackend.start({ after() {} } as never, fixture)
  const token = `stead-${'x'.repeat(43)}`
  for (let number = 0; number < ADMINISTRATORS; number++) {
    const name = `user-${number}`
    await backend.put(KEYS.user(name), { name, realm: 'local', createdAt: 0 })
    const permission = { id: name, role: 'Administrator', path: '/', propagate: true }
    await backend.put(KEYS.permission(name), { ...permission, subject: { kind: 'user', name } })
  }
  for (let number = 0; number < Math.min(guests, 1_000); number++) {
    const permission = { id: `g${number}`, role: 'GuestUser', propagate: true }
    const path = `/projects/default/guests/guest-guest-${number}`
    await backend.put(KEYS.permission(permission.id), {
      ...permission,
      path,
      subject: { kind: 'user', name: `user-${1 + (number % (ADMINISTRATORS - 1))}` },
    })
  }
  await backend.put(KEYS.token('user-0!bench'), { name: 'bench', user: 'user-0', createdAt: 0 })
  const digest = createHash('sha256').update(token).digest('hex')
  const write = { kind: 'put', key: SECRET_KEYS.token(digest), value: 'user-0!bench' } as const
  await backend.store.transact({ compares: [], writes: [write] })
  const owners = new TokenOwners({ store: backend.store, mirror: backend.mirror, clock: realClock })
  const server = await startApiServer({
    listen: [{ host: '127.0.0.1', port: 0 }],
    backend: backend.guarded,
    log: silent,
    host: 'h1',
    web: webFiles(),
    ownerOfToken: (shown) => owners.ownerOf(shown),
    isKnownSecret: (shown) => owners.isKnown(shown),
    limits: {
      ...{ connectionsMax: 10_000, connectionsPerAddressMax: 10_000, headBytesMax: 16_384 },
      ...{ requestsPerSecond: NO_LIMITS, requestsBurst: NO_LIMITS },
      ...{ strangerRequestsPerSecond: NO_LIMITS, strangerRequestsBurst: NO_LIMITS },
      ...{ headTimeoutMs: 60_000, bodyTimeoutMs: 60_000, uploadSilenceMs: 60_000, keepAliveMs: 60_000 },
    },
  })
  const address = server.addresses[0]
  if (!address || !('port' in address)) throw new Error('no port')
  process.send?.({ port: address.port, token } satisfies RigAnswer)
  process.on(
    'message',
    (order: RigOrder) => void obey(order, fixture, backend).then((answer) => process.send?.(answer)),
  )
}

let usedBefore = process.cpuUsage()

async function obey(order: RigOrder, fixture: ClusterFixture, backend: TestBackend): Promise<RigAnswer> {
  switch (order.do) {
    case 'use': {
      const { user, system } = process.cpuUsage(usedBefore)
      usedBefore = process.cpuUsage()
      return { processorMs: (user + system) / 1e3 }
    }
    case 'change': {
      const guest = fixture.state.guests.get(`guest-guest-${order.guest}` as never)!.value
      fixture.observe(guest, { phase: 'paused', reason: String(performance.timeOrigin + performance.now()) })
      await backend.put(KEYS.observation(guest.id), fixture.state.observations.get(guest.id)!.value)
      return { done: true }
    }
    case 'decide': {
      const records = accessRecordsOf(backend.mirror.state)
      const ask = (number: number) => {
        const path = `/projects/default/guests/guest-guest-${number % 1_000}`
        return decide(records, { kind: 'user', name: `user-${number % ADMINISTRATORS}` }, 'guest.view', path, 0).allowed
      }
      for (let number = 0; number < order.times; number++) ask(number)
      const start = process.hrtime.bigint()
      for (let number = 0; number < order.times; number++) ask(number)
      return { nanoseconds: Number(process.hrtime.bigint() - start) / order.times }
    }
  }
}

// The benchmark takes the types from here.
if (process.argv[1] === import.meta.filename) await main(Number(process.argv[2]))
