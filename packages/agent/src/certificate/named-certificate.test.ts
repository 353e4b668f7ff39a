import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { emptyClusterState } from '@stead/core/model/cluster-reducer.ts'
import type { GivenCertificate, WantedCertificate } from '@stead/core/model/web-certificate.ts'
import { failure } from '@stead/core/errors.ts'
import { fail } from '@stead/core/result.ts'
import { MemoryStoreServer } from '@stead/sim/memory-store.ts'
import { silent } from '../backend/backend-fixture.ts'
import { startApiServer } from '../http/api-server.ts'
import type { ApiBackend } from '../http/backend.ts'
import { realClock } from '../real-clock.ts'
import { createAuthority, issueCertificate } from '../trust/certificates.ts'
import { becomesCurrent } from './held-keys.ts'
import { NamedCertificates } from './named-certificate.ts'

const NOW = Date.now()
const DAY_MS = 86_400_000
const WANTED: WantedCertificate = {
  ...{ names: ['web.example.org'], directoryUrl: 'https://ca', proof: { kind: 'http', port: 80 }, agreedAt: 0 },
}

const AUTHORITY = createAuthority('authority', NOW)

async function pairFor(...names: readonly string[]) {
  const content = { purpose: 'web', name: names[0] ?? '', names } as const
  const { certificatePem: certificate, keyPem: key } = await issueCertificate(await AUTHORITY, content, NOW)
  return { certificate, key }
}

async function start(context: TestContext) {
  const memory = new MemoryStoreServer(realClock)
  context.after(() => memory.close())
  const store = memory.client()
  const own = await pairFor('h1', '127.0.0.1')
  const server = await startApiServer({
    ...{ listen: [{ host: '127.0.0.1', port: 0, tls: own }], backend: {} as ApiBackend, log: silent, host: 'h1' },
    ownerOfToken: async () => fail(failure('unauthorized', 'nobody')),
  })
  context.after(() => server.close())
  /** As the keeper writes it. */
  const given = async (...names: readonly string[]) => {
    const pair = await pairFor(...names)
    await store.transact({ compares: [], writes: becomesCurrent(pair) })
    const { fingerprint256: fingerprint } = new X509Certificate(pair.certificate)
    const record: GivenCertificate = { fingerprint, names, issuer: 'CA', notBefore: NOW, notAfter: NOW + 90 * DAY_MS }
    return {
      ...emptyClusterState(),
      wantedCertificate: { value: WANTED, revision: 1n },
      certificateProgress: { value: { renewAt: 1, given: record }, revision: 1n },
    }
  }
  const { port } = server.addresses[0] as { port: number }
  const come = async (servername: string): Promise<TLSSocket> => {
    const socket = connect({ host: '127.0.0.1', port, servername, rejectUnauthorized: false })
    context.after(() => void socket.destroy())
    await once(socket, 'secureConnect')
    return socket
  }
  const seen = async (name: string) => {
    const socket = await come(name)
    const { fingerprint256 } = socket.getPeerX509Certificate()!
    socket.destroy()
    return fingerprint256
  }
  return { store, server, given, come, seen, own: new X509Certificate(own.certificate).fingerprint256 }
}

test("who comes by one of its names is shown the authority's certificate, everybody else the cluster's", async (context) => {
  const { store, server, given, seen, own } = await start(context)
  const state = await given('web.example.org', '*.apps.example.org')
  const { certificate } = await new NamedCertificates({ store, log: silent }).look(state, NOW)
  server.useNamed(certificate)
  const theirs = state.certificateProgress.value.given.fingerprint
  for (const name of ['web.example.org', 'WEB.example.org', 'a.apps.example.org'])
    assert.equal(await seen(name), theirs, name)
  for (const name of ['h1', '', 'example.org', 'apps.example.org', 'a.b.apps.example.org', 'xweb.example.org'])
    assert.equal(await seen(name), own, name)
})

test('the next one is taken for the next connection, and those that are open stay', async (context) => {
  const { store, server, given, come, seen } = await start(context)
  const named = new NamedCertificates({ store, log: silent })
  server.useNamed((await named.look(await given('web.example.org'), NOW)).certificate)
  const open = await come('web.example.org')
  const next = await given('web.example.org')
  server.useNamed((await named.look(next, NOW)).certificate)
  assert.equal(await seen('web.example.org'), next.certificateProgress.value.given.fingerprint)
  open.write('GET /v1/version HTTP/1.1\r\nHost: web.example.org\r\n\r\n')
  const [answer] = (await once(open, 'data')) as [Buffer]
  assert.match(answer.toString(), /^HTTP\/1\.1 \d+/)
})

test('one that is over, or was given up, is shown to nobody; while the next one cannot be opened the former serves', async (context) => {
  const { store, given } = await start(context)
  const first = await given('web.example.org')
  let isLocked = false
  const get: typeof store.get = (key) =>
    isLocked ? Promise.resolve(fail(failure('secrets_locked', 'no key yet'))) : store.get(key)
  const named = new NamedCertificates({ store: { get }, log: silent })
  isLocked = true
  assert.deepEqual(await named.look(first, NOW), { certificate: undefined, isLate: true })
  isLocked = false
  const present = (await named.look(first, NOW)).certificate
  assert.ok(present?.holds('web.example.org'))
  const next = await given('web.example.org')
  isLocked = true
  assert.deepEqual(await named.look(next, NOW), { certificate: present, isLate: true })
  assert.equal((await named.look(next, NOW + 91 * DAY_MS)).certificate, undefined)
  const { wantedCertificate: _, ...forgotten } = next
  assert.equal((await named.look(forgotten, NOW)).certificate, undefined)
})
