/** The behaviour that every implementation of the port `Store` shows, as tests. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { Store, StoreChange, Transaction } from '@stead/core/ports/store.ts'
import type { Result } from '@stead/core/result.ts'
import { WatchRecorder } from './watch-recorder.ts'

/** A fault that lasts until the returned function is called. */
export type Fault = () => Promise<() => Promise<void>>

export interface StoreFixture {
  /** All keys of a test lie under it; no other test writes there. */
  readonly prefix: string
  /** A new client, exposed to the faults. The fixture closes it. */
  readonly client: () => Store
  /** A client that no fault touches, as long as the store has a quorum. */
  readonly observer: Store
  /** Lets at least this time pass, on whatever clock the store lives by. */
  readonly passTime: (ms: number) => Promise<void>
  /** Heals all faults, closes all clients. */
  close(): Promise<void>
  /** The faults that this store can have; tests of the others are skipped and say so. */
  readonly faults: {
    /** Watches of `client()` are cut off; calls may fail too. */
    readonly breakConnections?: Fault
    /** The server that `client()` asks first stops without closing anything; the others go on. */
    readonly freezeServer?: Fault
    /** The leader dies at once, and comes back when healed. */
    readonly killLeader?: Fault
    /** Requests of `client()` are executed, their answers never arrive. */
    readonly loseAnswers?: Fault
    /** Forgets the history up to now. */
    readonly compact?: () => Promise<void>
  }
}

const TEST_TIMEOUT_MS = 60_000
const EVENTUALLY_MS = 20_000

export function storeContract(name: string, make: () => Promise<StoreFixture>): void {
  const contract = (title: string, body: (fixture: StoreFixture, context: TestContext) => Promise<void>) =>
    void test(`${name}: ${title}`, { timeout: TEST_TIMEOUT_MS }, async (context) => {
      const fixture = await make()
      try {
        await body(fixture, context)
      } finally {
        await fixture.close()
      }
    })
  /** The fault, or a skipped test that names it. */
  const needs = <Name extends keyof StoreFixture['faults']>(
    fixture: StoreFixture,
    context: TestContext,
    fault: Name,
  ) => {
    const present = fixture.faults[fault]
    if (!present) context.skip(`this store cannot have the fault ${fault}`)
    return present as NonNullable<StoreFixture['faults'][Name]> | undefined
  }

  contract('reads what was written, and nothing where nothing is', async ({ client, prefix }) => {
    const store = client()
    assert.equal(value(await store.get(`${prefix}a`)), undefined)
    const revision = await commit(store, put(`${prefix}a`, 'ä €'))
    const entry = { key: `${prefix}a`, value: 'ä €', createRevision: revision, modRevision: revision }
    assert.deepEqual(value(await store.get(`${prefix}a`)), entry)
    const later = await commit(store, put(`${prefix}a`, 'again'))
    assert.ok(later > revision)
    assert.deepEqual(value(await store.get(`${prefix}a`)), { ...entry, value: 'again', modRevision: later })
  })

  contract('a range holds exactly the prefix, ordered by key', async ({ client, prefix }) => {
    const store = client()
    const keys = ['p/b', 'p/a', 'p/c/d', 'q', 'p', 'p0'].map((key) => prefix + key)
    for (const key of keys) await commit(store, put(key, key))
    const { entries, revision } = value(await store.range(`${prefix}p/`))
    assert.deepEqual(
      entries.map((entry) => entry.key),
      ['p/a', 'p/b', 'p/c/d'].map((key) => prefix + key),
    )
    assert.ok(entries.every((entry) => entry.value === entry.key && entry.modRevision <= revision))
    assert.deepEqual(value(await store.range(`${prefix}none/`)).entries, [])
  })

  contract('a range of more entries than one answer carries is complete', async ({ client, prefix }) => {
    const store = client()
    const count = 4100
    for (let first = 0; first < count; first += 100) {
      const writes = Array.from({ length: 100 }, (_, i) => put(`${prefix}${String(first + i).padStart(5, '0')}`, 'x'))
      await commit(store, ...writes)
    }
    const { entries } = value(await store.range(prefix))
    assert.equal(entries.length, count)
    assert.ok(entries.every((entry, i) => entry.key === `${prefix}${String(i).padStart(5, '0')}`))
  })

  contract('all writes of a transaction get one revision', async ({ client, prefix }) => {
    const store = client()
    await commit(store, put(`${prefix}old`, '1'))
    const revision = await commit(store, put(`${prefix}a`, '1'), put(`${prefix}b`, '2'), {
      kind: 'delete',
      key: `${prefix}old`,
    })
    const { entries } = value(await store.range(prefix))
    assert.deepEqual(
      entries.map((entry) => [entry.key, entry.modRevision]),
      [
        [`${prefix}a`, revision],
        [`${prefix}b`, revision],
      ],
    )
  })

  contract('a failed compare writes nothing and returns what is there', async ({ client, prefix }) => {
    const store = client()
    const revision = await commit(store, put(`${prefix}a`, 'present'))
    const outcome = value(
      await store.transact({
        compares: [
          { key: `${prefix}a`, modRevision: revision + 1n },
          { key: `${prefix}absent`, modRevision: 0n },
          { key: `${prefix}a`, value: 'present' },
        ],
        writes: [put(`${prefix}b`, 'never')],
      }),
    )
    assert.equal(outcome.committed, false)
    assert.deepEqual(!outcome.committed && outcome.found, [value(await store.get(`${prefix}a`))])
    assert.equal(value(await store.get(`${prefix}b`)), undefined)
  })

  contract('compares of revision, value and absence hold', async ({ client, prefix }) => {
    const store = client()
    const create: Transaction = { compares: [{ key: `${prefix}a`, modRevision: 0n }], writes: [put(`${prefix}a`, '1')] }
    const created = value(await store.transact(create))
    assert.equal(created.committed, true)
    const again = value(await store.transact(create))
    assert.equal(again.committed, false, 'a second identical creation fails')
    assert.equal(!again.committed && again.found[0]?.modRevision, created.revision)
    const byRevision = {
      compares: [{ key: `${prefix}a`, modRevision: created.revision }],
      writes: [put(`${prefix}a`, '2')],
    }
    assert.equal(value(await store.transact(byRevision)).committed, true)
    const byValue = { compares: [{ key: `${prefix}a`, value: '2' }], writes: [put(`${prefix}a`, '3')] }
    assert.equal(value(await store.transact(byValue)).committed, true)
    assert.equal(value(await store.transact(byValue)).committed, false)
    const ofAbsent = { compares: [{ key: `${prefix}none`, value: '' }], writes: [put(`${prefix}none`, '')] }
    assert.equal(value(await store.transact(ofAbsent)).committed, false, 'an absent key has no value, not an empty one')
  })

  contract('deleting a prefix leaves the neighbours', async ({ client, prefix }) => {
    const store = client()
    await commit(store, ...['p/a', 'p/b', 'p', 'p0'].map((key) => put(prefix + key, 'x')))
    await commit(store, { kind: 'delete-prefix', prefix: `${prefix}p/` })
    const { entries } = value(await store.range(prefix))
    assert.deepEqual(
      entries.map((entry) => entry.key),
      [`${prefix}p`, `${prefix}p0`],
    )
  })

  contract('a transaction that writes a key twice is refused', async ({ client, prefix }) => {
    const answer = await client().transact({ compares: [], writes: [put(`${prefix}a`, '1'), put(`${prefix}a`, '2')] })
    assert.equal(!answer.ok && answer.error.code, 'bad_request')
  })

  contract('a lease that is not kept removes its keys', async ({ client, prefix, passTime }) => {
    const store = client()
    const lease = value(await store.grantLease(1000))
    await commit(store, { ...put(`${prefix}leased`, 'x'), lease }, put(`${prefix}free`, 'x'))
    await eventually(passTime, 'the key goes', async () => value(await store.get(`${prefix}leased`)) === undefined)
    assert.notEqual(value(await store.get(`${prefix}free`)), undefined)
    assert.equal(value(await store.keepLease(lease)), 0)
    const late = await store.transact({ compares: [], writes: [{ ...put(`${prefix}late`, 'x'), lease }] })
    assert.equal(!late.ok && late.error.code, 'not_found')
  })

  contract('a kept lease keeps its keys; a revoked one removes them', async ({ client, prefix, passTime }) => {
    const store = client()
    const lease = value(await store.grantLease(1500))
    await commit(store, { ...put(`${prefix}leased`, 'x'), lease })
    for (let i = 0; i < 12; i += 1) {
      await passTime(300)
      assert.equal(value(await store.keepLease(lease)), 2000, 'whole seconds, rounded up')
    }
    assert.notEqual(value(await store.get(`${prefix}leased`)), undefined)
    value(await store.revokeLease(lease))
    assert.equal(value(await store.get(`${prefix}leased`)), undefined)
    value(await store.revokeLease(lease))
  })

  contract(
    'a watch begins with the content, then brings every change in order',
    async ({ client, prefix, passTime }) => {
      const store = client()
      const first = await commit(store, put(`${prefix}w/a`, '1'), put(`${prefix}outside`, '1'))
      const watch = new WatchRecorder(client(), `${prefix}w/`)
      await eventually(passTime, 'the content', async () => watch.batches.length > 0)
      const [resync] = watch.batches
      assert.equal(resync?.kind === 'resync' && resync.entries.length, 1)
      assert.ok((resync?.revision ?? 0n) >= first)
      await commit(store, put(`${prefix}w/b`, '2'))
      await commit(store, put(`${prefix}outside`, '2'))
      await commit(store, { kind: 'delete', key: `${prefix}w/a` })
      await eventually(passTime, 'both changes', async () => watch.changes().length === 2)
      assert.deepEqual(watch.changes().map(text), [`${prefix}w/b=2`, `${prefix}w/a deleted`])
      await watch.stop()
    },
  )

  contract(
    'a watch under concurrent writers loses nothing and splits no revision',
    async ({ client, prefix, passTime }) => {
      const watch = new WatchRecorder(client(), prefix)
      await eventually(passTime, 'the content', async () => watch.batches.length > 0)
      const written = await writeConcurrently([client(), client(), client()], prefix, 40)
      await eventually(passTime, 'all changes', async () => watch.changes().length === written.length)
      assert.deepEqual(watch.changes().map(text), written)
      await watch.stop()
    },
  )

  contract('a watch ends by its signal', async ({ client, prefix, passTime }) => {
    const watch = new WatchRecorder(client(), prefix)
    await eventually(passTime, 'the content', async () => watch.batches.length > 0)
    await watch.stop()
    const stopped = new WatchRecorder(client(), prefix)
    await stopped.stop()
  })

  contract('a watch resumes after a broken connection without loss', async (fixture, context) => {
    const breakConnections = needs(fixture, context, 'breakConnections')
    if (!breakConnections) return
    const { client, observer, prefix, passTime } = fixture
    const watch = new WatchRecorder(client(), prefix)
    await eventually(passTime, 'the content', async () => watch.batches.length > 0)
    const written = await writeConcurrently([observer], prefix, 5, 'before')
    const heal = await breakConnections()
    written.push(...(await writeConcurrently([observer], prefix, 5, 'during')))
    await heal()
    written.push(...(await writeConcurrently([observer], prefix, 5, 'after')))
    await eventually(passTime, 'all changes', async () => watch.changes().length === written.length)
    assert.deepEqual(watch.changes().map(text), written)
    assert.equal(watch.resyncs(), 1)
    await watch.stop()
  })

  contract('a watch that fell behind the compacted history gets the content anew', async (fixture, context) => {
    const breakConnections = needs(fixture, context, 'breakConnections')
    const compact = breakConnections && needs(fixture, context, 'compact')
    if (!breakConnections || !compact) return
    const { client, observer, prefix, passTime } = fixture
    await commit(observer, put(`${prefix}a`, 'old'), put(`${prefix}b`, 'old'))
    const watch = new WatchRecorder(client(), prefix)
    await eventually(passTime, 'the content', async () => watch.batches.length > 0)
    const heal = await breakConnections()
    await commit(observer, { kind: 'delete', key: `${prefix}a` })
    await commit(observer, put(`${prefix}b`, 'new'))
    await compact()
    await heal()
    await eventually(passTime, 'a second resync', async () => watch.resyncs() === 2)
    assert.deepEqual(watch.content(), new Map([[`${prefix}b`, 'new']]))
    await commit(observer, put(`${prefix}c`, 'later'))
    await eventually(passTime, 'the next change', async () => watch.content().get(`${prefix}c`) === 'later')
    await watch.stop()
  })

  contract('while the nearest server is frozen, reads and watches go on', async (fixture, context) => {
    const freezeServer = needs(fixture, context, 'freezeServer')
    if (!freezeServer) return
    const { client, observer, prefix, passTime } = fixture
    const store = client()
    const watch = new WatchRecorder(store, prefix)
    await eventually(passTime, 'the content', async () => watch.batches.length > 0)
    const written = await writeConcurrently([observer], prefix, 3, 'before')
    const thaw = await freezeServer()
    await eventually(passTime, 'a read', async () => (await store.get(`${prefix}x`)).ok)
    await eventually(passTime, 'a leader elsewhere', async () => (await observer.get(prefix)).ok)
    written.push(...(await writeConcurrently([observer], prefix, 3, 'during')))
    await eventually(passTime, 'the changes', async () => watch.changes().length === written.length)
    await thaw()
    written.push(...(await writeConcurrently([observer], prefix, 3, 'after')))
    await eventually(passTime, 'all changes', async () => watch.changes().length === written.length)
    assert.deepEqual(watch.changes().map(text), written)
    assert.equal(watch.resyncs(), 1)
    await watch.stop()
  })

  contract('a killed leader costs no committed write and no change of a watch', async (fixture, context) => {
    const killLeader = needs(fixture, context, 'killLeader')
    if (!killLeader) return
    const { client, prefix, passTime } = fixture
    const store = client()
    const watch = new WatchRecorder(client(), prefix)
    await eventually(passTime, 'the content', async () => watch.batches.length > 0)
    // A repeated creation ends committed, or finds what an earlier try has committed.
    const create = (key: string): Transaction => ({ compares: [{ key, modRevision: 0n }], writes: [put(key, '1')] })
    await eventually(passTime, 'a write', async () => (await store.transact(create(`${prefix}before`))).ok)
    const heal = await killLeader()
    await eventually(passTime, 'another write', async () => (await store.transact(create(`${prefix}after`))).ok)
    await eventually(passTime, 'the change', async () => watch.changes().length === 2)
    assert.deepEqual(watch.changes().map(text), [`${prefix}before=1`, `${prefix}after=1`])
    await heal()
    await watch.stop()
  })

  contract('a transaction whose answer is lost can be repeated, and its outcome is found', async (fixture, context) => {
    const loseAnswers = needs(fixture, context, 'loseAnswers')
    if (!loseAnswers) return
    const { client, observer, prefix, passTime } = fixture
    const store = client()
    value(await store.get(prefix))
    const create: Transaction = {
      compares: [{ key: `${prefix}a`, modRevision: 0n }],
      writes: [put(`${prefix}a`, 'mine')],
    }
    const heal = await loseAnswers()
    const lost = await store.transact(create)
    assert.equal(!lost.ok && lost.error.code, 'store_timeout')
    await eventually(passTime, 'the write', async () => value(await observer.get(`${prefix}a`))?.value === 'mine')
    await heal()
    const repeated = await untilKnown(passTime, () => store.transact(create))
    assert.equal(repeated.committed, false)
    assert.equal(!repeated.committed && repeated.found[0]?.value, 'mine')
  })
}

function put(key: string, content: string) {
  return { kind: 'put', key, value: content } as const
}

function value<T>(result: Result<T>): T {
  assert.ok(result.ok, result.ok ? '' : `${result.error.code}: ${result.error.message}`)
  return result.value
}

async function commit(store: Store, ...writes: Transaction['writes']): Promise<bigint> {
  const outcome = value(await store.transact({ compares: [], writes }))
  assert.equal(outcome.committed, true)
  return outcome.revision
}

async function eventually(passTime: StoreFixture['passTime'], what: string, condition: () => Promise<boolean>) {
  for (let waited = 0; waited < EVENTUALLY_MS; waited += 20) {
    if (await condition()) return
    await passTime(20)
  }
  assert.fail(`not seen in time: ${what}`)
}

async function untilKnown<T>(passTime: StoreFixture['passTime'], attempt: () => Promise<Result<T>>): Promise<T> {
  let last: Result<T> | undefined
  await eventually(passTime, 'an answer', async () => {
    last = await attempt()
    return last.ok
  })
  assert.ok(last?.ok)
  return last.value
}

/**
 * Each writer commits transactions of two keys, and now and then a deletion. Returns the changes as `text` shows
 * them, in the order of the revisions that the store gave them.
 */
async function writeConcurrently(writers: Store[], prefix: string, count: number, label = 'w'): Promise<string[]> {
  const log: { readonly revision: bigint; readonly changes: string[] }[] = []
  const run = async (store: Store, writer: number) => {
    for (let i = 0; i < count; i += 1) {
      const [a, b] = [`${prefix}${label}${writer}/a`, `${prefix}${label}${writer}/b`]
      log.push({ revision: await commit(store, put(a, `${i}`), put(b, `${i}`)), changes: [`${a}=${i}`, `${b}=${i}`] })
      if (i % 4 === 3)
        log.push({ revision: await commit(store, { kind: 'delete', key: a }), changes: [`${a} deleted`] })
    }
  }
  await Promise.all(writers.map(run))
  return log.sort((a, b) => (a.revision < b.revision ? -1 : 1)).flatMap((entry) => entry.changes)
}

function text(change: StoreChange): string {
  return change.kind === 'put' ? `${change.entry.key}=${change.entry.value}` : `${change.key} deleted`
}
