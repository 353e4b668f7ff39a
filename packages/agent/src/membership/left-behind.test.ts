import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { EventDraft } from '@stead/core/ha/plan.ts'
import type { EventWriter } from '@stead/core/host/event-writer.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { HostClient } from '../http/host-client.ts'
import { startInternalServer } from '../http/internal-server.ts'
import { realClock } from '../real-clock.ts'
import { credentialsOf } from '../trust/credentials-fixture.ts'
import { keyDigestOf, leavingCalls, readLeftBehind, tellLeftBehind, writeLeftBehind } from './left-behind.ts'

const log: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => log }
const trust = await credentialsOf('h1', 'h2', 'witness')
const KEY = keyDigestOf(trust.h2.material.cert)
const strange = await credentialsOf('h1')
const members = ['h1', 'h2', 'witness'].map((hostId, order) => ({
  ...{ hostId, order, addresses: {} },
  role: hostId === 'witness' ? ('witness' as const) : ('compute' as const),
}))

/** h2, as it is when it is switched on again. */
async function returned(context: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'stead-left-'))
  const configPath = join(folder, 'agent.json')
  writeFileSync(configPath, '{}')
  const ended: string[] = []
  const companions = ['deadman', 'etcd'].map((name) => ({ kill: async () => void ended.push(name) }))
  const config = { hostId: 'h2', members }
  const server = await startInternalServer({
    ...{ hosts: ['127.0.0.1'], port: 0, credentials: trust.h2, log },
    volumesFor: () => undefined as never,
    blobs: { open: async () => undefined },
    guestCalls: leavingCalls({
      config,
      credentials: trust.h2,
      configPath,
      end: () => ended.push('agent'),
      companions,
      clock: realClock,
      log,
    }),
  })
  context.after(async () => {
    await server.close()
    rmSync(folder, { recursive: true })
  })
  return { folder, configPath, ended, port: server.port }
}

test(
  'who was left behind is told until it has heard it, ends all, and waits to be set up',
  { timeout: 20_000 },
  async (t) => {
    const { folder, configPath, ended, port } = await returned(t)
    const left = {
      ...{ port, material: trust.h1.material },
      hosts: [
        { hostId: 'h2', addresses: ['127.0.0.1'], keyDigest: KEY },
        { hostId: 'back', addresses: ['127.0.0.1'], keyDigest: KEY },
      ],
    }
    writeLeftBehind(folder, left)
    const told: EventDraft[] = []
    const events = { tell: (...drafts: EventDraft[]) => void told.push(...drafts) } as unknown as EventWriter
    const config = { stateDir: folder, members: [{ ...members[0]!, hostId: 'back' }], clusterName: 'demo' }
    await tellLeftBehind({ config, events, clock: realClock, log }, new AbortController().signal)
    assert.equal(readLeftBehind(folder), undefined, 'nobody is left to be told')
    assert.deepEqual(
      told.map(({ kind, subject }) => [kind, subject]),
      [['host.left-behind', 'host/h2']],
      'a host that is of the cluster again is told nothing',
    )
    assert.ok(!existsSync(configPath) && existsSync(`${configPath}.left-behind`))
    while (ended.length < 3) await realClock.sleep(10)
    assert.deepEqual(ended, ['agent', 'deadman', 'etcd'])
  },
)

test('neither a witness nor a stranger can send a host away', async (t) => {
  const { configPath, ended, port } = await returned(t)
  for (const credentials of [trust.witness, trust.h2, strange.h1]) {
    const client = new HostClient({ host: 'h2', addresses: ['127.0.0.1'], port, credentials })
    assert.equal((await client.callGuest('left-behind', { keyDigest: KEY })).ok, false)
    client.close()
  }
  assert.ok(existsSync(configPath))
  assert.deepEqual(ended, [])
})

test('a machine that was wiped and is a host again by the same name is not meant', async (t) => {
  const { configPath, ended, port } = await returned(t)
  const client = new HostClient({ host: 'h2', addresses: ['127.0.0.1'], port, credentials: trust.h1 })
  for (const input of [{ keyDigest: keyDigestOf(trust.h1.material.cert) }, {}, undefined]) {
    const told = await client.callGuest('left-behind', input)
    assert.equal(!told.ok && told.error.code, 'conflict')
  }
  client.close()
  assert.ok(existsSync(configPath))
  assert.deepEqual(ended, [])
})
