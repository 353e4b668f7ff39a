/** The chain of the audit: the same on every host, and whoever touches it is found out. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test, type TestContext } from 'node:test'
import { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { StoreEntry, WatchBatch } from '@stead/core/ports/store.ts'
import { recordDecoder } from '@stead/api/records.ts'
import { MemoryStoreServer } from '@stead/sim/memory-store.ts'
import { realClock, realRandom } from '../real-clock.ts'
import { AuditLog } from './audit-log.ts'
import { AuditWriter } from './audit-writer.ts'
import { ClusterAudit } from './cluster-audit.ts'

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent }

function entry(revision: number, text = '', name = `a${revision}`): StoreEntry {
  const value = JSON.stringify({ id: name, time: '2026-11-22T00:00:00.000Z', who: 'alice', what: text || 'vm.start' })
  return { key: KEYS.audit(name), value, createRevision: BigInt(revision), modRevision: BigInt(revision) }
}

const changes = (...entries: StoreEntry[]): WatchBatch => ({
  kind: 'changes',
  changes: entries.map((each) => ({ kind: 'put' as const, entry: each })),
  revision: 1n,
})
const resync = (...entries: StoreEntry[]): WatchBatch => ({ kind: 'resync', entries, revision: 1n })

test('two hosts have the same chain, whatever came to them together, late or twice', () => {
  const [first, second] = [new AuditLog(':memory:'), new AuditLog(':memory:')]
  first.take(changes(entry(3), entry(5)))
  first.take(changes(entry(7, '', 'b'), entry(7, '', 'a')))
  first.take(resync(entry(7, '', 'a'), entry(3), entry(5), entry(7, '', 'b'), entry(9)))
  second.take(resync(entry(9), entry(7, '', 'b'), entry(7, '', 'a'), entry(5), entry(3)))
  assert.equal(first.sequence, 5)
  assert.deepEqual(first.after(0, 10), second.after(0, 10))
})

/** A chain of six in a file, which `tamper` then changes behind the agent's back. */
async function checkedAfter(context: TestContext, tamper: (database: DatabaseSync) => void) {
  const folder = mkdtempSync(join(tmpdir(), 'stead-audit-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'audit.sqlite')
  const log = new AuditLog(path)
  log.take(changes(...[1, 2, 3, 4, 5, 6].map((revision) => entry(revision))))
  assert.equal((await log.check()).problem, undefined)
  const database = new DatabaseSync(path)
  tamper(database)
  database.close()
  const { problem } = await log.check()
  log.close()
  return problem
}

for (const [what, statement, problem] of [
  ['changed', `UPDATE entries SET text = replace(text, 'alice', 'bob') WHERE sequence = 3`, /^entry 3 is not/],
  ['removed', 'DELETE FROM entries WHERE sequence = 3', /^the entries 3 to 3 are missing/],
  ['removed at the end', 'DELETE FROM entries WHERE sequence = 6', /^the entries 6 to 6 are missing/],
  ['removed at the beginning', 'DELETE FROM entries WHERE sequence < 3', /^the entries 1 to 2 are missing/],
  [
    'removed, and the others moved up',
    'DELETE FROM entries WHERE sequence = 3; UPDATE entries SET sequence = sequence - 1 WHERE sequence > 3',
    /^entry 3 is not/,
  ],
  [
    'put in another order',
    'UPDATE entries SET sequence = 100 WHERE sequence = 2; UPDATE entries SET sequence = 2 WHERE sequence = 4; UPDATE entries SET sequence = 4 WHERE sequence = 100',
    /^entry 2 is not/,
  ],
  [
    'replaced by a mark that it is not there',
    `UPDATE entries SET text = '', key = '' WHERE sequence = 3`,
    /^the entries 3 to 3 are not on this host/,
  ],
] as const) {
  test(`an entry that was ${what} is found`, async (context) => {
    assert.match((await checkedAfter(context, (database) => database.exec(statement))) ?? '', problem)
  })
}

/** Hosts on one store, each following it. */
async function hosts(context: TestContext, ...names: string[]) {
  const server = new MemoryStoreServer(realClock)
  context.after(() => server.close())
  const audits = new Map<string, ClusterAudit>()
  const stopping = new AbortController()
  const following: Promise<void>[] = []
  context.after(async () => {
    stopping.abort()
    await Promise.all(following)
  })
  const join = async (name: string) => {
    const store = server.client()
    const mirror = new ClusterMirror(recordDecoder, silent)
    const log = new AuditLog(':memory:')
    mirror.onBatch((batch) => log.take(batch))
    following.push(mirror.follow(store, stopping.signal))
    await mirror.until(() => true, realClock.sleep(5_000))
    const audit = new ClusterAudit({
      ...{ self: name as HostId, log, store, clock: realClock, agentLog: silent, isCoordinating: () => true },
      others: () => [...audits.keys()].filter((other) => other !== name) as HostId[],
      call: (host, call, input) => audits.get(host)!.calls[call](input as never),
    })
    audits.set(name, audit)
    const writer = new AuditWriter({ store, clock: realClock, random: realRandom, host: name, log: silent })
    return { audit, log, writer, mirror }
  }
  const joined = []
  for (const name of names) joined.push(await join(name))
  return { joined, join, server }
}

const tell = (writer: AuditWriter, what: string) =>
  writer.tell(
    { principal: { kind: 'root', host: 'h1' }, visitor: { address: 'local' } },
    { kind: 'action', what, subject: 'guest/web' },
  )

async function untilAll(logs: readonly AuditLog[], sequence: number) {
  for (let tries = 0; tries < 500 && logs.some((log) => log.sequence < sequence); tries++) await realClock.sleep(10)
  for (const log of logs) assert.equal(log.sequence, sequence)
}

test('the chains of all hosts agree, and one that was written anew from some entry on is told by the others', async (context) => {
  const { joined } = await hosts(context, 'h1', 'h2', 'h3')
  for (const [index, { writer }] of [...joined, ...joined].entries()) tell(writer, `console.open${index}`)
  await untilAll(
    joined.map(({ log }) => log),
    6,
  )
  const [first] = joined
  assert.deepEqual(await first!.audit.verify(), [
    { host: 'h1', entries: 6, problem: null },
    { host: 'h2', entries: 6, problem: null },
    { host: 'h3', entries: 6, problem: null },
  ])
  // Whole by itself: every hash is right, but the entries are not those of the others.
  const forged = new AuditLog(':memory:')
  forged.take(changes(...[1, 2, 3, 4, 5, 6].map((revision) => entry(revision, 'forged'))))
  assert.equal((await forged.check()).problem, undefined)
  Object.assign(joined[1]!.log, { at: (n: number) => forged.at(n), check: () => forged.check() })
  const verified = await first!.audit.verify()
  assert.deepEqual(
    verified.map(({ problem }) => problem),
    [null, 'entry 6 is not that of h1, h3', null],
  )
})

test('a host that joins when the outbox was emptied gets the same chain from another one', async (context) => {
  const { joined, join: another } = await hosts(context, 'h1', 'h2')
  const [first] = joined
  for (let index = 0; index < 25; index++) tell(first!.writer, `console.open${index}`)
  await untilAll(
    joined.map(({ log }) => log),
    25,
  )
  await first!.audit.prune(5)
  const late = await another('h3')
  assert.equal(late.log.isBehind, true)
  await late.audit.catchUp()
  tell(late.writer, 'console.paste')
  await untilAll([first!.log, late.log], 26)
  assert.deepEqual(late.log.after(0, 100), first!.log.after(0, 100))
  assert.equal((await late.log.check()).problem, undefined)
})

test('entries that do not lead to what the store knows are not taken from anybody', async (context) => {
  const { joined, join: another } = await hosts(context, 'h1')
  const [first] = joined
  for (let index = 0; index < 8; index++) tell(first!.writer, `console.open${index}`)
  await untilAll([first!.log], 8)
  await first!.audit.prune(2)
  const honest = first!.log.after.bind(first!.log)
  const lying = (sequence: number, limit: number) =>
    honest(sequence, limit).map((link) => ({ ...link, text: link.text.replace('root', 'evil') }))
  Object.assign(first!.log, { after: lying })
  const late = await another('h2')
  await late.audit.catchUp()
  assert.equal(late.log.sequence, 0)
  Object.assign(first!.log, { after: honest })
  await late.audit.catchUp()
  assert.equal(late.log.sequence, 8)
})

test('where nobody has what is missing the chain goes on, and says what is not there', async (context) => {
  const { joined, join: another } = await hosts(context, 'h1')
  const [first] = joined
  for (let index = 0; index < 8; index++) tell(first!.writer, `console.open${index}`)
  await untilAll([first!.log], 8)
  await first!.audit.prune(2)
  const late = await another('h2')
  late.log.beginAfterBase()
  await late.audit.catchUp()
  assert.equal(late.log.sequence, 8)
  assert.deepEqual(late.log.at(8), first!.log.at(8))
  assert.match((await late.log.check()).problem ?? '', /^the entries 1 to 6 are not on this host/)
})

test('whoever tries out what is denied does not fill the store: beyond some hundred a minute they are counted', async (context) => {
  const { joined } = await hosts(context, 'h1')
  const [first] = joined
  for (let index = 0; index < 1_000; index++)
    first!.writer.denied(
      { principal: { kind: 'user', name: 'eve' }, visitor: { address: '192.0.2.7' } },
      { what: 'guest.delete', subject: 'guest/web' },
    )
  await untilAll([first!.log], 300)
  await realClock.sleep(50)
  assert.equal(first!.log.sequence, 300)
})
