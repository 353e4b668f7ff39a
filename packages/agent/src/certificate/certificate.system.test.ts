/**
 * The certificate of the web from a real authority (Let's Encrypt's test server, strict, refusing good nonces), which
 * looks at real names of a real name server. The hosts are records; their ports are this machine's loopback.
 */
import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { promises as dns } from 'node:dns'
import { suite, test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { EventWriter } from '@stead/core/host/event-writer.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS, SECRET_KEYS } from '@stead/core/model/keys.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import { silent, TestBackend } from '../backend/backend-fixture.ts'
import { realClock, realRandom } from '../real-clock.ts'
import { CertificateKeeper } from './certificate-keeper.ts'
import { keepChallengesAnswered } from './challenge-server.ts'
import { currentPair } from './held-keys.ts'
import {
  rootOf,
  startAuthority,
  startNameServer,
  TSIG,
  WITHOUT_AUTHORITY,
  type TestAuthorityOptions,
} from './test-authority-fixture.ts'

const NAME = 'web.example.test'
const LOOKS_MAX = 100
const POLL_MS = 2_000

interface Options extends Partial<TestAuthorityOptions> {
  /** Nobody answers at the names. */
  readonly closed?: true
}

async function start(context: TestContext, { closed, ...options }: Options = {}) {
  const names = await startNameServer(context, { web: ['127.0.0.1'], www: ['127.0.0.1'] })
  const authority = await startAuthority(context, { names, ...options })
  const now = { passedMs: 0 }
  const clock: Clock = {
    ...realClock,
    wallMs: () => realClock.wallMs() + now.passedMs,
    sleep: (ms, signal) => realClock.sleep(Math.min(ms, 50), signal),
  }
  const backend = await TestBackend.start(context, new ClusterFixture(3), clock)
  await backend.must('policy.set', { body: { outboundAllow: ['127.0.0.0/8'] } })
  await coordinate(backend, 'h1')
  const ending = new AbortController()
  const answering = closed
    ? undefined
    : keepChallengesAnswered(
        { mirror: backend.mirror, addresses: () => ['127.0.0.1'], clock: realClock, log: silent },
        ending.signal,
      )
  context.after(async () => {
    ending.abort()
    await answering
  })
  const keeperOf = ({ store, mirror }: TestBackend, self: string) => {
    const host = self as HostId
    const events = new EventWriter({ store, clock, host, bootId: 'b', log: silent, projectOf: () => undefined })
    return new CertificateKeeper({ self: host, store, mirror, events, clock, random: realRandom, log: silent })
  }
  const order = (more: object = {}) =>
    backend.must('certificate.order', {
      body: {
        ...{ names: [NAME], directoryUrl: authority.directoryUrl, authorityPem: authority.authorityPem },
        ...{ agreesToTerms: true, proof: { kind: 'http', port: authority.httpPort }, ...more },
      },
    })
  const shown = () => backend.must('certificate.show')
  /** Steps until it is so, without the pauses between two looks; what the authority does takes a moment of its own. */
  const looksUntil = async (keeper: CertificateKeeper, isSo: () => Promise<boolean>) => {
    for (let look = 0; look < LOOKS_MAX; look++) {
      now.passedMs += POLL_MS
      await keeper.look()
      if (await isSo()) return
      await realClock.sleep(50)
    }
    assert.fail('it did not come so far')
  }
  return { backend, authority, names, now, clock, order, shown, looksUntil, keeper: keeperOf(backend, 'h1'), keeperOf }
}

async function coordinate(backend: TestBackend, host: string): Promise<void> {
  await backend.put(KEYS.coordinator, { host, term: 1 })
}

const dnsProof = (port: number) => ({
  ...{ kind: 'dns', server: '127.0.0.1', port, keyName: TSIG.name, keySecret: TSIG.secret, settleMs: 0 },
})

suite('the certificate of the web from an authority', { timeout: 120_000, skip: WITHOUT_AUTHORITY }, () => {
  test('is ordered, proved at port 80, and kept with its key in the store; nothing of it can be read', async (context) => {
    const { backend, authority, order, shown, keeper, looksUntil } = await start(context)
    const { operation } = await order({ names: [NAME, 'www.example.test'], email: 'ada@example.org' })
    await looksUntil(keeper, async () => (await shown()).standing === 'valid')
    const { given, renewAt } = await shown()
    assert.deepEqual(given?.names.toSorted(), [NAME, 'www.example.test'])
    const pair = await currentPair(backend.store)
    assert.ok(pair.ok && pair.value)
    const certificate = new X509Certificate(pair.value.certificate)
    assert.ok(certificate.checkPrivateKey(createPrivateKey(pair.value.key)))
    const chain = pair.value.certificate.match(/-----BEGIN[^]+?END CERTIFICATE-----/g) ?? []
    assert.ok(new X509Certificate(chain.at(-1)!).verify(new X509Certificate(await rootOf(authority)).publicKey))
    const share =
      (Date.parse(renewAt!) - Date.parse(given!.notBefore)) /
      (Date.parse(given!.notAfter) - Date.parse(given!.notBefore))
    assert.ok(share > 0.66 && share < 0.71, `renewed at ${share} of its life`)
    assert.equal((await backend.must('operation.show', { params: { operation: operation.id } })).state, 'succeeded')
    const told = backend.events().filter(({ kind }) => kind === 'certificate.given')
    assert.equal(told.length, 1)
    const everything = JSON.stringify([
      await shown(),
      await backend.must('audit.list', { query: { limit: 100 } }),
      told,
    ])
    for (const part of ['current', 'account'] as const) {
      const kept = await backend.store.get(SECRET_KEYS.certificate(part))
      assert.ok(kept.ok && kept.value?.value.includes('PRIVATE KEY'))
    }
    assert.ok(!everything.includes('PRIVATE KEY'))
  })

  test('is renewed in time, by another key, and the one before is shown until then', async (context) => {
    const { backend, order, shown, keeper, now, looksUntil } = await start(context)
    await order()
    await looksUntil(keeper, async () => (await shown()).standing === 'valid')
    const first = (await shown()).given
    const key = async () => {
      const pair = await currentPair(backend.store)
      return pair.ok ? pair.value?.key : undefined
    }
    const firstKey = await key()
    await keeper.look()
    assert.deepEqual((await shown()).given, first, 'not before its time')
    now.passedMs = Date.parse((await shown()).renewAt!) - Date.now() + 1_000
    await keeper.look()
    assert.deepEqual([(await shown()).given?.fingerprint, (await shown()).standing], [first?.fingerprint, 'ordering'])
    await looksUntil(keeper, async () => (await shown()).given?.fingerprint !== first?.fingerprint)
    assert.notEqual(await key(), firstKey)
  })

  test('is gone on with by another host, wherever the first one falls', async (context) => {
    const { backend, order, shown, keeper, keeperOf, now } = await start(context)
    const other = await backend.onHost(context, 'h2')
    const second = keeperOf(other, 'h2')
    await order()
    // h1 falls after each of its steps, h2 goes on, and so on in turn.
    const keepers = [
      { host: 'h1', look: () => keeper.look() },
      { host: 'h2', look: () => second.look() },
    ]
    let orders = 0
    let seen = ''
    for (let look = 0; look < LOOKS_MAX && (await shown()).standing !== 'valid'; look++) {
      const { host, look: step } = keepers[look % 2]!
      await coordinate(backend, host)
      await other.mirror.until(
        () => other.mirror.revision >= backend.mirror.revision,
        realClock.sleep(5_000, AbortSignal.timeout(5_000)),
      )
      await step()
      await backend.mirror.until(
        () => backend.mirror.revision >= other.mirror.revision,
        realClock.sleep(5_000, AbortSignal.timeout(5_000)),
      )
      const { url = '' } = backend.mirror.state.certificateProgress?.value.order ?? {}
      if (url !== '' && url !== seen) orders += 1
      seen = url || seen
      now.passedMs += POLL_MS
      await realClock.sleep(50)
    }
    assert.equal((await shown()).standing, 'valid')
    assert.equal(orders, 1, 'the same order, not one of each host')
  })

  test('of a wish that changes in the middle of an order is for what is wanted last', async (context) => {
    const { order, shown, keeper, looksUntil } = await start(context)
    await order()
    await keeper.look()
    await order({ names: ['www.example.test'] })
    await looksUntil(keeper, async () => (await shown()).standing === 'valid')
    assert.deepEqual((await shown()).given?.names, ['www.example.test'])
  })

  test('is proved by DNS, also with a star, and the records are taken away again', async (context) => {
    const { order, shown, keeper, names, looksUntil } = await start(context, { closed: true })
    await order({ names: ['*.example.test', 'example.test'], proof: dnsProof(names.port) })
    await looksUntil(keeper, async () => (await shown()).standing === 'valid')
    assert.deepEqual((await shown()).given?.names.toSorted(), ['*.example.test', 'example.test'])
    const resolver = new dns.Resolver()
    resolver.setServers([`127.0.0.1:${names.port}`])
    await assert.rejects(resolver.resolveTxt('_acme-challenge.example.test'), { code: /ENOTFOUND|ENODATA/ })
  })

  test('says what the name server refuses, and shows its key to nobody', async (context) => {
    const { backend, order, shown, keeper, names, looksUntil } = await start(context, { closed: true })
    const wrong = { ...dnsProof(names.port), keySecret: 'AAAAYWQtdGVzdC1zZWNyZXQtMDEyMzQ1Njc4OWFiY2RlZg==' }
    await order({ proof: wrong })
    await looksUntil(keeper, async () => (await shown()).standing === 'failing')
    assert.match((await shown()).failing?.message ?? '', /BADSIG/)
    const all = JSON.stringify([await shown(), await backend.must('audit.list', { query: { limit: 100 } })])
    assert.ok(!all.includes(wrong.keySecret) && all.includes('(secret)'))
  })

  test('that cannot be proved says what the authority saw and what to do, and is tried again, later each time', async (context) => {
    const { backend, order, shown, keeper, now, looksUntil } = await start(context, { closed: true })
    const { operation } = await order()
    await looksUntil(keeper, async () => (await shown()).standing === 'failing')
    const { failing } = await shown()
    assert.match(failing?.message ?? '', /does not believe that web\.example\.test is ours: .*refused.*\(connection\)/)
    assert.match(failing?.hint ?? '', /port 80.*--dns-server/)
    const ended = await backend.must('operation.show', { params: { operation: operation.id } })
    assert.deepEqual([ended.state, ended.failure?.message], ['failed', failing?.message])
    const { warnings } = await backend.must('cluster.show')
    assert.ok(warnings.some((text) => text.startsWith(`There is no certificate for ${NAME} yet: `)))
    await keeper.look()
    assert.equal((await shown()).failing?.attempts, 1, 'not before its time')
    const pauseOf = async () => Date.parse((await shown()).failing!.nextAt) - (Date.now() + now.passedMs)
    const first = await pauseOf()
    now.passedMs += first + 1_000
    await looksUntil(keeper, async () => (await shown()).failing?.attempts === 2)
    assert.ok((await pauseOf()) > first * 1.5)
    assert.equal(backend.events().filter(({ kind }) => kind === 'certificate.failed').length, 2)
  })

  test('for a name that DNS does not know is refused, and one renewal by hand is tried at once', async (context) => {
    const { backend, order, shown, keeper, looksUntil } = await start(context)
    await order({ names: ['nobody.example.test'] })
    await looksUntil(keeper, async () => (await shown()).standing === 'failing')
    assert.match((await shown()).failing?.message ?? '', /nobody\.example\.test is ours: .*could not resolve/)
    await order()
    await looksUntil(keeper, async () => (await shown()).standing === 'valid')
    const before = (await shown()).given?.fingerprint
    await backend.must('certificate.renew')
    await looksUntil(keeper, async () => (await shown()).given?.fingerprint !== before)
  })

  test('needs an account that the authority knows, where it demands one', async (context) => {
    const externalAccounts = { 'kid-1': 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W' }
    const { backend, authority, order, shown, keeper, looksUntil } = await start(context, { externalAccounts })
    const { directoryUrl, authorityPem } = authority
    const look = await backend.must('certificate.look', { body: { directoryUrl, authorityPem } })
    assert.equal(look.demandsExternalAccount, true)
    assert.match(look.termsOfService ?? '', /^data:|^https?:/)
    await order()
    await looksUntil(keeper, async () => (await shown()).standing === 'failing')
    assert.match((await shown()).failing?.hint ?? '', /--external-account-id/)
    await order({ externalAccount: { keyId: 'kid-1', hmacKey: externalAccounts['kid-1'] } })
    await looksUntil(keeper, async () => (await shown()).standing === 'valid')
  })

  test('is revoked and forgotten with its keys', async (context) => {
    const { backend, order, shown, keeper, looksUntil } = await start(context)
    await order()
    await looksUntil(keeper, async () => (await shown()).standing === 'valid')
    await backend.must('certificate.forget', { query: { revoke: 'true' } })
    assert.deepEqual([(await shown()).standing, (await shown()).given], ['none', null])
    const kept = await backend.store.range(SECRET_KEYS.certificate(''))
    assert.deepEqual(kept.ok && kept.value.entries, [])
    assert.equal((await backend.refused('certificate.renew')).code, 'not_found')
  })

  test('an authority of a private network, or without the certificate that it is believed by, is not asked', async (context) => {
    const { backend, authority, order, shown, keeper, looksUntil } = await start(context)
    const { directoryUrl, authorityPem } = authority
    const unknown = await backend.refused('certificate.look', { body: { directoryUrl } })
    assert.match(unknown.message, /self-signed|unable to verify/)
    await backend.must('policy.set', { body: { outboundAllow: [] } })
    const refused = await backend.refused('certificate.look', { body: { directoryUrl, authorityPem } })
    assert.deepEqual([refused.code, /--outbound-allow/.test(refused.hint ?? '')], ['forbidden', true])
    await order()
    await looksUntil(keeper, async () => (await shown()).standing === 'failing')
    assert.match((await shown()).failing?.message ?? '', /do not connect on a user's word/)
  })
})
