import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failure } from '../errors.ts'
import type { StoreEntry, WatchBatch } from '../ports/store.ts'
import { fail, ok } from '../result.ts'
import type { Result } from '../result.ts'
import { applyBatch, emptyClusterState } from './cluster-reducer.ts'
import type { RecordDecoder } from './cluster-reducer.ts'
import type { GuestId, HostId, OperationId, VolumeId } from './ids.ts'
import type { BackupId } from './backup.ts'
import { KEYS, SECRET_KEYS } from './keys.ts'
import type { RuleId } from './rule.ts'

/** Takes every object; counts how often it is asked. */
function permissiveDecoder() {
  let decoded = 0
  const take = (json: unknown): Result<never> => {
    decoded += 1
    const isObject = typeof json === 'object' && json !== null
    return isObject ? ok(json as never) : fail(failure('internal', 'not an object'))
  }
  const decode: RecordDecoder = {
    ...{
      user: take,
      group: take,
      role: take,
      token: take,
      permission: take,
      project: take,
      realm: take,
      backup: take,
      webhook: take,
      webhookDelivery: take,
      session: take,
      projectTurn: take,
    },
    settings: take,
    coordinator: take,
    addressHolder: take,
    heartbeatKey: take,
    authorityChange: take,
    vault: take,
    wantedCertificate: take,
    certificateProgress: take,
    host: take,
    status: take,
    policy: take,
    liveness: take,
    guest: take,
    grant: take,
    volume: take,
    observation: take,
    decision: take,
    removal: take,
    rule: take,
    clusterPolicy: take,
    snapshot: take,
    image: take,
    imageImport: take,
    diskCopy: take,
    operation: take,
  }
  return { decode, decoded: () => decoded }
}

const { decode } = permissiveDecoder()
const h1 = 'h1' as HostId
const g1 = 'g1' as GuestId

function entry(key: string, value: unknown, modRevision = 1n): StoreEntry {
  return { key, value: JSON.stringify(value), createRevision: 1n, modRevision }
}
function resync(...entries: StoreEntry[]): WatchBatch {
  return { kind: 'resync', entries, revision: 1n }
}
function puts(...entries: StoreEntry[]): WatchBatch {
  return { kind: 'changes', changes: entries.map((put) => ({ kind: 'put', entry: put })), revision: 2n }
}
function deletes(...keys: string[]): WatchBatch {
  const changes = keys.map((key) => ({ kind: 'delete', key, modRevision: 3n }) as const)
  return { kind: 'changes', changes, revision: 3n }
}

test('each key of the layout lands in its map', () => {
  const { state, problems } = applyBatch(
    emptyClusterState(),
    resync(
      entry(KEYS.settings, { name: 'c' }, 7n),
      entry(KEYS.coordinator, { host: h1, term: 1 }),
      entry(KEYS.host(h1), { id: h1 }),
      entry(KEYS.status(h1), { state: 'online' }),
      entry(KEYS.policy(h1), { maintenance: false }),
      entry(KEYS.liveness(h1), { bootId: 'b' }),
      entry(KEYS.guest(g1), { id: g1 }),
      entry(KEYS.grant(g1), { guest: g1 }),
      entry(KEYS.volume('v1' as VolumeId), { id: 'v1' }),
      entry(KEYS.observation(g1), { guest: g1 }),
      entry(KEYS.decision(g1), { guest: g1 }),
      entry(KEYS.removal(h1, 'v1' as VolumeId, 'default'), {}),
      entry(KEYS.rule('apart' as RuleId), {}),
      entry(KEYS.clusterPolicy, {}),
      entry(KEYS.snapshot(g1, 's1'), {}),
      entry(KEYS.image('debian'), {}),
      entry(KEYS.imageImport('fedora'), {}),
      entry(KEYS.diskCopy('g1'), {}),
      entry(KEYS.backup('b1' as BackupId), {}),
      entry(KEYS.operation('o1' as OperationId), { id: 'o1' }),
      entry(KEYS.user('alice@campus'), {}),
      entry(KEYS.group('staff'), {}),
      entry(KEYS.role('Viewer'), {}),
      entry(KEYS.token('alice!ci'), {}),
      entry(KEYS.realm('campus'), {}),
      entry(KEYS.webhook('chat'), {}),
      entry(KEYS.webhookDelivery('chat'), {}),
      entry(KEYS.permission('p1'), {}),
      entry(KEYS.session('d1'), {}),
      entry(KEYS.project('shop'), {}),
      entry(KEYS.projectTurn('shop'), {}),
      entry(KEYS.accessTurn, 'user/alice'),
      entry(SECRET_KEYS.token('00'), 'alice!ci'),
      entry(SECRET_KEYS.tokenDigest('alice!ci'), '00'),
    ),
    decode,
  )
  assert.deepEqual(problems, [])
  assert.deepEqual(state.settings, { value: { name: 'c' }, revision: 7n })
  assert.equal(state.coordinator?.value.host, h1)
  assert.deepEqual([...state.removals.keys()], ['h1/v1/default'])
  for (const [name, value] of Object.entries(state)) if (value instanceof Map) assert.equal(value.size, 1, name)
})

test('names, events, idempotency and foreign keys are ignored and change nothing', () => {
  const before = emptyClusterState()
  const keys = [KEYS.guestName('web'), KEYS.event('e'), KEYS.idempotency('k'), '/other/hosts/h1', '/stead/hosts/']
  const { state, problems } = applyBatch(before, puts(...keys.map((key) => entry(key, 'text'))), decode)
  assert.equal(state, before)
  assert.deepEqual(problems, [])
})

test('a batch copies only the maps that it changes', () => {
  const before = applyBatch(
    emptyClusterState(),
    resync(entry(KEYS.host(h1), {}), entry(KEYS.guest(g1), {})),
    decode,
  ).state
  const after = applyBatch(before, puts(entry(KEYS.guest(g1), { cpus: 2 }, 2n)), decode).state
  assert.equal(after.hosts, before.hosts)
  assert.notEqual(after.guests, before.guests)
  assert.equal(before.guests.get(g1)?.revision, 1n, 'the former state is untouched')
  assert.deepEqual(after.guests.get(g1), { value: { cpus: 2 }, revision: 2n })
})

test('the changes of a batch apply in order', () => {
  const batch: WatchBatch = {
    kind: 'changes',
    revision: 4n,
    changes: [
      { kind: 'put', entry: entry(KEYS.guest(g1), { cpus: 1 }, 2n) },
      { kind: 'delete', key: KEYS.guest(g1), modRevision: 3n },
      { kind: 'put', entry: entry(KEYS.guest(g1), { cpus: 4 }, 4n) },
    ],
  }
  const { state } = applyBatch(emptyClusterState(), batch, decode)
  assert.deepEqual([...state.guests.values()], [{ value: { cpus: 4 }, revision: 4n }])
})

test('deleting removes records, the single ones too', () => {
  const before = applyBatch(
    emptyClusterState(),
    resync(entry(KEYS.coordinator, { host: h1, term: 1 }), entry(KEYS.liveness(h1), {})),
    decode,
  ).state
  const after = applyBatch(before, deletes(KEYS.coordinator, KEYS.liveness(h1), KEYS.guest(g1)), decode).state
  assert.equal('coordinator' in after, false)
  assert.equal(after.liveness.size, 0)
  assert.equal(after.guests, before.guests, 'deleting what is not there copies nothing')
})

test('a resync replaces everything and reads unchanged records only once', () => {
  const counting = permissiveDecoder()
  const first = resync(entry(KEYS.settings, {}), entry(KEYS.host(h1), {}, 1n), entry(KEYS.guest(g1), {}, 1n))
  const before = applyBatch(emptyClusterState(), first, counting.decode).state
  assert.equal(counting.decoded(), 3)
  const after = applyBatch(before, resync(entry(KEYS.host(h1), {}, 1n)), counting.decode).state
  assert.equal(counting.decoded(), 3)
  assert.equal(after.hosts.get(h1), before.hosts.get(h1))
  assert.equal(after.guests.size, 0)
  assert.equal('settings' in after, false)
})

test('a record that cannot be read is reported and skipped; the rest of the batch applies', () => {
  const before = applyBatch(emptyClusterState(), resync(entry(KEYS.guest(g1), { cpus: 1 })), decode).state
  const broken: StoreEntry = { key: KEYS.guest(g1), value: '{', createRevision: 1n, modRevision: 2n }
  const batch = puts(broken, entry(KEYS.policy(h1), 'text', 2n), entry(KEYS.host(h1), {}, 2n))
  const { state, problems } = applyBatch(before, batch, decode)
  assert.equal(problems.length, 2)
  assert.match(problems[0] ?? '', /^\/stead\/guests\/g1 is not JSON: /)
  assert.equal(problems[1], '/stead/policies/h1 cannot be read: not an object')
  assert.equal(state.guests.get(g1)?.revision, 1n, 'the older record stays, with its outdated revision')
  assert.equal(state.hosts.size, 1)
})
