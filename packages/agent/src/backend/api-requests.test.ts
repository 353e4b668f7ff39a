/**
 * Whatever is asked: the server never fails, nothing changes for who may not change it, and no error tells of the server's
 * inside. `STEAD_API_REQUESTS=100000` asks more than the run in passing does.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Agent, request } from 'node:http'
import { test, type TestContext } from 'node:test'
import { problemSchema } from '@stead/api/problem-schema.ts'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { KEYS, PREFIX, SECRET_KEYS } from '@stead/core/model/keys.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { SeededRandom } from '@stead/sim/seeded-random.ts'
import { TokenOwners } from '../access/token-owners.ts'
import { startApiServer } from '../http/api-server.ts'
import { CLIENT_LIMITS } from '../http/client-limits.ts'
import { RequestGenerator, type KnownNames, type MadeRequest } from '../http/request-generator-fixture.ts'
import { realClock } from '../real-clock.ts'
import { TestBackend } from './backend-fixture.ts'

const REQUESTS = Number(process.env['STEAD_API_REQUESTS'] ?? 2_000)
const AT_ONCE = 4
const NAMES: KnownNames = {
  ...{ guest: ['web', 'other', 'guest-web'], host: ['h1', 'h2'], volume: ['volumeweb', 'volumeother'] },
  ...{ hosts: ['h1', 'h3'], guests: ['web', 'other'], user: ['administrator', 'stranger', 'tenant'] },
  ...{ project: ['default'], network: ['lan'], pool: ['default'], disk: ['disk0'], role: ['GuestUser', 'NoAccess'] },
}
/** What is said of the server's inside. */
const INSIDE =
  /\bat \S+ \(|node:|node_modules|\.ts:\d|\/packages\/|Cannot read propert|is not a function|undefined is not/

interface Answer {
  readonly status: number
  readonly text: string
}

async function start(context: TestContext) {
  const fixture = new ClusterFixture(3)
  for (const name of ['web', 'other']) {
    const { guest } = fixture.guestWithDisk(name, ['h1', 'h2'])
    fixture.grant(guest, 'h1')
    fixture.observe(guest, {})
  }
  const backend = await TestBackend.start(context, fixture)
  const tokens: Record<string, string> = {}
  for (const [name, role, path] of [
    ['administrator', 'Administrator', '/'],
    ['tenant', 'GuestUser', '/projects/default/guests/guest-web'],
    ['stranger', undefined, ''],
  ] as const) {
    const token = `stead-${createHash('sha256').update(name).digest('base64url')}`
    tokens[name] = token
    await backend.put(KEYS.user(name), { name, realm: 'local', createdAt: 0 })
    await backend.put(KEYS.token(`${name}!t`), { name: 't', user: name, createdAt: 0 })
    const subject = { kind: 'user', name }
    if (role) await backend.put(KEYS.permission(name), { id: name, subject, role, path, propagate: true })
    const key = SECRET_KEYS.token(createHash('sha256').update(token).digest('hex'))
    await backend.store.transact({ compares: [], writes: [{ kind: 'put', key, value: `${name}!t` }] })
  }
  const owners = new TokenOwners({ store: backend.store, mirror: backend.mirror, clock: realClock })
  const failures: unknown[] = []
  const log: Log = {
    ...{ debug() {}, info() {}, warn() {} },
    error: (message, fields) => void failures.push([message, fields]),
    with: () => log,
  }
  const endless = {
    requestsPerSecond: 1e9,
    requestsBurst: 1e9,
    strangerRequestsPerSecond: 1e9,
    strangerRequestsBurst: 1e9,
  }
  const server = await startApiServer({
    listen: [{ host: '127.0.0.1', port: 0 }],
    backend: backend.guarded,
    log,
    host: 'h1',
    ownerOfToken: (token) => owners.ownerOf(token),
    limits: { ...CLIENT_LIMITS, ...endless },
  })
  context.after(() => server.close())
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })
  context.after(() => agent.destroy())
  const [address] = server.addresses
  assert.ok(address && 'port' in address)
  return {
    backend,
    failures,
    ask: (made: MadeRequest, who?: string) => send(agent, address.port, made, tokens[who ?? '']),
  }
}

/** Undefined where no request can be sent: Node's own client refuses such a header or path. */
async function send(agent: Agent, port: number, made: MadeRequest, token?: string): Promise<Answer | undefined> {
  const headers = {
    ...made.headers,
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(made.body === undefined ? {} : { 'content-length': String(Buffer.byteLength(made.body)) }),
  }
  return new Promise((resolve, reject) => {
    try {
      const options = { host: '127.0.0.1', port, agent, method: made.method, path: made.path, headers, timeout: 30_000 }
      const sent = request(options, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (part: string) => (text += part))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
        response.on('error', () => resolve({ status: response.statusCode ?? 0, text: '' }))
      })
      sent.on('timeout', () => reject(new Error(`no answer: ${JSON.stringify(made).slice(0, 500)}`)))
      // A body that is refused is not read to its end.
      sent.on('error', (error: NodeJS.ErrnoException) =>
        error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve({ status: 0, text: '' }) : reject(error),
      )
      sent.end(made.body)
    } catch {
      resolve(undefined)
    }
  })
}

function checkAnswer(made: MadeRequest, { status, text }: Answer): void {
  const shown = `${made.operation}: ${JSON.stringify(made).slice(0, 700)} -> ${status} ${text.slice(0, 500)}`
  // 503: no answer within its time, said as such.
  assert.ok(status < 500 || status === 503, shown)
  if (status < 400 || made.method === 'HEAD') return
  const problem = problemSchema.safeParse(JSON.parse(text))
  assert.ok(problem.success, shown)
  assert.doesNotMatch(text, INSIDE, shown)
}

type World = Awaited<ReturnType<typeof start>>

async function askMany(
  world: World,
  seed: number,
  count: number,
  who: string | undefined,
): Promise<Map<number, number>> {
  // By which realms one can sign in is told to everybody.
  const isWanted = (id: string) => id !== 'console.connect' && (who !== undefined || id !== 'auth.realms')
  const generator = new RequestGenerator(new SeededRandom(seed), NAMES, isWanted)
  const statuses = new Map<number, number>()
  let left = count
  const askOn = async () => {
    while (left-- > 0) {
      const made = generator.next()
      const answer = await world.ask(made, who)
      if (!answer || answer.status === 0) continue
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
      checkAnswer(made, answer)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, askOn))
  assert.deepEqual(world.failures, [], 'the server failed inside')
  return statuses
}

const kindsOf = (statuses: ReadonlyMap<number, number>) => [...statuses.keys()].toSorted((a, b) => a - b).join(' ')

test('an administrator may ask anything in any way', async (context) => {
  for (let round = 0; round < Math.ceil(REQUESTS / 4_000); round++) {
    // What he has deleted is there again.
    const world = await start(context)
    const statuses = await askMany(world, 1 + round, REQUESTS / 2 / Math.ceil(REQUESTS / 4_000), 'administrator')
    for (const status of [200, 202, 400, 404, 409])
      assert.ok(statuses.has(status), `none of ${status}: ${kindsOf(statuses)}`)
  }
})

test('who has no rights, or says not who he is, changes nothing', async (context) => {
  const world = await start(context)
  // That it was denied is told.
  const allButTheAudit = async () => {
    const all = await world.backend.store.range('/')
    assert.ok(all.ok)
    // The cluster's own key is made when it is needed first, by whoever signs in.
    return all.value.entries.filter(({ key }) => !key.startsWith(KEYS.audit('')) && key !== SECRET_KEYS.deviceKey)
  }
  const before = await allButTheAudit()
  const stranger = await askMany(world, 2, REQUESTS / 8, 'stranger')
  const nobody = await askMany(world, 3, REQUESTS / 8, undefined)
  assert.deepEqual(await allButTheAudit(), before)
  assert.ok(stranger.has(403) || stranger.has(404), kindsOf(stranger))
  assert.ok(nobody.has(401), kindsOf(nobody))
  assert.ok(![200, 201, 202, 204].some((status) => nobody.has(status)), kindsOf(nobody))
})

test('who has rights on one guest changes nothing of others', async (context) => {
  const world = await start(context)
  const foreign = async () => {
    const all = await world.backend.store.range(PREFIX)
    assert.ok(all.ok)
    const own = /guest-web|volumeweb|\/(operations|events|idempotency|audit)\/|-turn$/
    return all.value.entries.filter(({ key }) => !own.test(key)).map(({ key, value }) => [key, value])
  }
  const before = await foreign()
  const statuses = await askMany(world, 4, REQUESTS / 4, 'tenant')
  assert.deepEqual(await foreign(), before)
  assert.ok(statuses.has(200) && statuses.has(403), kindsOf(statuses))
})
