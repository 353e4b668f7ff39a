/** A host that serves its own set-up: the real checks, on this machine, in a state folder of the test's. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setupViewSchema, type SetupPlan, type SetupWorkView } from '@stead/api/endpoints/set-up.ts'
import type { Transport } from '@stead/api/transport.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { realClock } from '../real-clock.ts'
import { openSetupDoor, type SetupDoor } from './setup-door.ts'
import { SetupWork } from './setup-work.ts'

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent }
const nobody: Transport = { send: async () => Promise.reject(new Error('no agent runs in this test')) }
/** Of the documentation's network: no machine has it. */
const FOREIGN = '192.0.2.77'
const ANSWERS = { kind: 'init', host: 'h1', cluster: 'demo', addresses: { lan: FOREIGN } }

interface Rig {
  readonly door: SetupDoor
  readonly stateDir: string
  readonly ask: (method: string, path: string, body?: unknown, code?: string) => Promise<{ status: number; json: any }>
}

async function start(context: TestContext): Promise<Rig> {
  const stateDir = await mkdtemp(join(tmpdir(), 'stead-setup-'))
  context.after(() => rm(stateDir, { recursive: true, force: true }))
  const place = { stateDir, nativeDir: '/nowhere' }
  const work = new SetupWork(place, { ...place, transport: nobody, clock: realClock })
  const door = await openSetupDoor({ addresses: ['127.0.0.1'], port: 0, work, clock: realClock, log: silent })
  const stopping = new AbortController()
  const served = door.serve(stopping.signal)
  context.after(async () => {
    stopping.abort()
    await served
  })
  const { port } = new URL(door.pages[0] ?? '')
  const ask: Rig['ask'] = (method, path, body, code = door.code) =>
    new Promise((resolve, reject) => {
      const request = httpsRequest({
        ...{ host: '127.0.0.1', port, method, path, rejectUnauthorized: false, agent: false },
        headers: {
          authorization: `Bearer ${code}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
      })
      request.on('error', reject)
      request.on('response', (response) => {
        let text = ''
        response.on('data', (part) => (text += String(part)))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, json: JSON.parse(text) }))
      })
      request.end(body === undefined ? undefined : JSON.stringify(body))
    })
  return { door, stateDir, ask }
}

async function workEnded(rig: Rig): Promise<SetupWorkView> {
  for (let looks = 0; looks < 600; looks++) {
    const { json } = await rig.ask('GET', '/v1/setup')
    if (json.work !== null && json.work.state !== 'running') return json.work
    await realClock.sleep(100)
  }
  throw new Error('the work does not end')
}

test('only who has the code is told anything', async (context) => {
  const { ask, door } = await start(context)
  assert.match(door.code, /^[a-z2-9]{4}-[a-z2-9]{4}-[a-z2-9]{4}$/)
  const wrong = await ask('GET', '/v1/setup', undefined, 'aaaa-aaaa-aaaa')
  assert.deepEqual([wrong.status, wrong.json.code], [401, 'unauthorized'])
  assert.equal((await ask('POST', '/v1/setup/apply', { answers: ANSWERS }, '')).status, 401)
})

test('it tells what the host has', async (context) => {
  const { status, json } = await (await start(context)).ask('GET', '/v1/setup')
  assert.equal(status, 200)
  const view = setupViewSchema.parse(json)
  assert.ok(view.cpuCount >= 1 && view.memoryBytes > 0)
  assert.ok(view.fileSystems.some(({ path }) => path === '/'))
  assert.ok(view.ports.every(({ name }) => name !== 'lo'))
  assert.equal(view.work, null)
})

test("nothing of the cluster's API is there", async (context) => {
  const { ask } = await start(context)
  for (const path of ['/v1/guests', '/v1/cluster', '/v1/users', '/v1/openapi.json'])
    assert.equal((await ask('GET', path)).status, 404, path)
})

test('the checks find what is wrong, say what to do, and change nothing', async (context) => {
  const { ask, stateDir } = await start(context)
  const { status, json } = await ask('POST', '/v1/setup/checks', ANSWERS)
  assert.equal(status, 200)
  const { checks, steps } = json as SetupPlan
  const address = checks.find(({ id }) => id === 'lan-address')
  assert.deepEqual([address?.state, address?.final], ['failed', true])
  assert.match(address?.text ?? '', new RegExp(FOREIGN))
  assert.ok(address?.hint)
  for (const id of ['empty-host', 'port-2379', 'name-resolution', 'time-service', 'programs', 'memory', 'state-room'])
    assert.ok(
      checks.some((check) => check.id === id),
      id,
    )
  assert.equal(new Set(checks.map(({ id }) => id)).size, checks.length)
  assert.ok(steps.some((step) => step.includes('agent.json')))
  assert.deepEqual(await readdir(stateDir), [])
})

test('a set-up that cannot work is refused whatever is accepted, and may be tried again', async (context) => {
  const rig = await start(context)
  for (let attempt = 0; attempt < 2; attempt++) {
    const begun = await rig.ask('POST', '/v1/setup/apply', { answers: ANSWERS, despite: ['lan-address'] })
    assert.equal(begun.status, 202)
    const work = await workEnded(rig)
    assert.equal(work.state, 'failed')
    assert.match(work.error?.message ?? '', /Nothing was changed.*192\.0\.2\.77/)
  }
  assert.equal(existsSync(join(rig.stateDir, 'agent.json')), false)
})

test('a second set-up does not begin beside the first', async (context) => {
  const rig = await start(context)
  const begun = await Promise.all([0, 1].map(() => rig.ask('POST', '/v1/setup/apply', { answers: ANSWERS })))
  assert.deepEqual(begun.map(({ status }) => status).toSorted(), [202, 409])
  await workEnded(rig)
})

test('answers that make no sense are refused before anything is looked at', async (context) => {
  const { ask } = await start(context)
  for (const [wrong, message] of [
    [{ ...ANSWERS, addresses: {} }, /at least one address/],
    [{ ...ANSWERS, addresses: { lan: 'eth0; reboot' } }, /addresses\.lan/],
    [{ ...ANSWERS, host: '../../etc' }, /host/],
    [{ ...ANSWERS, pools: [{ name: 'a', path: 'srv', capacityBytes: 1 }] }, /pools\[0\]\.path/],
    [{ kind: 'join', host: 'h1', addresses: { lan: FOREIGN } }, /token/],
    [{ ...ANSWERS, kind: 'leave' }, /kind/],
  ] as const) {
    const { status, json } = await ask('POST', '/v1/setup/checks', wrong)
    assert.equal(status, 400)
    assert.match(json.detail ?? json.message, message)
  }
  const token = await ask('POST', '/v1/setup/checks', { ...ANSWERS, kind: 'join', cluster: undefined, token: 'x' })
  assert.equal(token.status, 400)
})
