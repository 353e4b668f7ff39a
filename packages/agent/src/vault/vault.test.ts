import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { KEYS, SECRET_KEYS } from '@stead/core/model/keys.ts'
import type { Write } from '@stead/core/ports/store.ts'
import { generationOf } from './key-ring.ts'
import { KEEP_CALL, SHARE_CALL } from './vault-calls.ts'
import { VaultFixture, type VaultHost } from './vault-fixture.ts'

const FACTORS = SECRET_KEYS.secondFactors('ada')
const REALM = KEYS.realm('corp')
const realm = (bindPassword: string) =>
  JSON.stringify({ name: 'corp', groups: [], service: { kind: 'ldap', bindPassword }, createdAt: 0 })
const put = (key: string, value: string): Write => ({ kind: 'put', key, value })

async function write({ store }: Pick<VaultHost, 'store'>, ...writes: readonly Write[]) {
  return store.transact({ compares: [], writes })
}

async function read({ store }: VaultHost, key: string): Promise<string> {
  const found = await store.get(key)
  return found.ok ? (found.value?.value ?? 'nothing') : found.error.code
}

async function three(t: { after(run: () => void): void }, ...names: readonly string[]) {
  const hosts = names.length > 0 ? names : ['h1', 'h2', 'h3']
  const cluster = new VaultFixture(t, ...hosts)
  await cluster.start(...hosts)
  await cluster.settle()
  return cluster
}

test('what one host writes another opens; the store and the copies never have it in clear', async (t) => {
  const cluster = await three(t, 'h1', 'h2', 'witness')
  assert.deepEqual((await cluster.record()).holders, ['h1', 'h2', 'witness'])
  await write(cluster.host('h1'), put(FACTORS, '{"recovery":[]}'), put(REALM, realm('hunter2')))
  for (const key of [FACTORS, REALM]) assert.doesNotMatch(await cluster.stored(key), /recovery|hunter2/)
  assert.equal(await read(cluster.host('h2'), FACTORS), '{"recovery":[]}')
  assert.deepEqual(JSON.parse(await read(cluster.host('h2'), REALM)), JSON.parse(realm('hunter2')))
})

test('a record that comes back sealed from a copy is written as it was; what only looks sealed is sealed', async (t) => {
  const cluster = await three(t)
  const h1 = cluster.host('h1')
  await write(h1, put(REALM, realm('hunter2')))
  const sealed = await cluster.stored(REALM)
  await write(h1, put(REALM, sealed))
  assert.equal(await cluster.stored(REALM), sealed)
  const { bindPassword } = (JSON.parse(sealed) as { service: { bindPassword: string } }).service
  const other = KEYS.realm('other')
  for (const looks of [bindPassword, bindPassword.replace(':1:', ':7:')]) {
    await write(h1, put(other, realm(looks)))
    assert.deepEqual(JSON.parse(await read(h1, other)), JSON.parse(realm(looks)))
  }
})

test('a value that somebody copied into another record in the store opens nothing', async (t) => {
  const cluster = await three(t)
  await write(cluster.host('h1'), put(FACTORS, '{"recovery":[]}'))
  const bob = SECRET_KEYS.secondFactors('bob')
  await write({ store: cluster.raw }, put(bob, await cluster.stored(FACTORS)))
  assert.equal(await read(cluster.host('h1'), bob), 'internal')
})

test('all hosts off and on again: any two members are enough, one is not', async (t) => {
  const cluster = await three(t, 'h1', 'h2', 'witness')
  await write(cluster.host('h1'), put(FACTORS, 'x'))
  for (const host of ['h1', 'h2', 'witness']) await cluster.stop(host)
  await cluster.start('h2')
  await cluster.coordinate('h2')
  await cluster.settle()
  assert.equal(await read(cluster.host('h2'), FACTORS), 'secrets_locked')
  const refused = await write(cluster.host('h2'), put(FACTORS, 'y'))
  assert.ok(!refused.ok)
  assert.equal(refused.error.code, 'secrets_locked')
  // What needs no secret does not wait for it.
  assert.ok((await write(cluster.host('h2'), put('/stead/guests/g', '{}'))).ok)
  await cluster.start('witness')
  await cluster.settle()
  assert.equal(await read(cluster.host('h2'), FACTORS), 'x')
  assert.equal(await read(cluster.host('witness'), FACTORS), 'secrets_locked')
})

test('a host’s disk has one share, only root reads it, and it is not the key', async (t) => {
  const cluster = await three(t)
  const { file, vault } = cluster.host('h1')
  const { held } = JSON.parse(readFileSync(file, 'utf8')) as { held: { kind: string; value: string }[] }
  assert.deepEqual(
    held.map(({ kind }) => kind),
    ['share'],
  )
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.notEqual(held[0]?.value, vault.ring?.key.toString('hex'))
})

test('one or two hosts have the key beside what it seals; the third makes it another, in shares', async (t) => {
  const cluster = await three(t, 'h1')
  await write(cluster.host('h1'), put(FACTORS, 'x'), put(REALM, realm('hunter2')))
  assert.equal((await cluster.record()).keeping, 'beside')
  await cluster.setMembers(['h1', 'h2'])
  await cluster.start('h2')
  await cluster.settle()
  assert.deepEqual((await cluster.record()).holders, ['h1', 'h2'])
  assert.equal(await read(cluster.host('h2'), FACTORS), 'x')
  const old = cluster.host('h1').vault.ring?.key.toString('hex') ?? 'none'
  assert.match(readFileSync(cluster.host('h1').file, 'utf8'), new RegExp(old))
  await cluster.setMembers(['h1', 'h2', 'witness'])
  await cluster.settle()
  assert.equal((await cluster.record()).keeping, 'beside', 'until the third is up')
  await write({ store: cluster.raw }, put(FACTORS, 'written in clear by an older agent'))
  await cluster.settle()
  assert.equal(generationOf(await cluster.stored(FACTORS)), 1)
  await write(cluster.host('h1'), put(FACTORS, 'x'))
  await cluster.start('witness')
  await cluster.settle()
  const { keeping, generation } = await cluster.record()
  assert.deepEqual([keeping, generation], ['shares', 2])
  for (const name of ['h1', 'h2', 'witness'])
    assert.doesNotMatch(readFileSync(cluster.host(name).file, 'utf8'), new RegExp(old), name)
  assert.equal(generationOf(await cluster.stored(FACTORS)), 2)
  assert.match(await cluster.stored(REALM), /stead-sealed:2:/)
  assert.equal(await read(cluster.host('h2'), FACTORS), 'x')
})

test('a member that was away when it joined gets its share later, and the others’ stay', async (t) => {
  const cluster = await three(t)
  const before = readFileSync(cluster.host('h1').file, 'utf8')
  await cluster.setMembers(['h1', 'h2', 'h3', 'h4'])
  await cluster.settle()
  assert.deepEqual((await cluster.record()).holders, ['h1', 'h2', 'h3'])
  await cluster.start('h4')
  await cluster.settle()
  assert.deepEqual((await cluster.record()).holders, ['h1', 'h2', 'h3', 'h4'])
  assert.equal(readFileSync(cluster.host('h1').file, 'utf8'), before)
  for (const host of ['h1', 'h2', 'h3', 'h4']) await cluster.stop(host)
  await cluster.start('h3', 'h4')
  await cluster.coordinate('h4')
  await cluster.settle()
  assert.ok(cluster.host('h4').vault.ring)
})

test('a secret file is sealed where it lies, and again by each new key', async (t) => {
  const cluster = await three(t)
  const path = `${cluster.host('h1').file}.secret`
  writeFileSync(path, 'PRIVATE')
  await cluster.settle()
  assert.equal(generationOf(readFileSync(path, 'utf8')), 1)
  await cluster.setMembers(['h1', 'h2', 'h3'], ['ab'])
  await cluster.settle()
  const sealed = readFileSync(path, 'utf8')
  assert.equal(generationOf(sealed), 2)
  assert.equal(statSync(path).mode & 0o777, 0o600)
  // As a host has it that joins by way of this one.
  assert.deepEqual(cluster.host('h2').vault.openNow(sealed, 'a file'), { ok: true, value: 'PRIVATE' })
})

test('who is removed gets no share, and his old one makes no key that counts', async (t) => {
  const cluster = await three(t, 'h1', 'h2', 'h3', 'h4')
  await write(cluster.host('h1'), put(FACTORS, 'x'))
  const { keyId: oldKey } = await cluster.record()
  const stolen = readFileSync(cluster.host('h4').file, 'utf8')
  // One that is down keeps nobody from it.
  await cluster.stop('h3')
  await cluster.stop('h4')
  await cluster.setMembers(['h1', 'h2', 'h3'], ['ab'])
  await cluster.settle()
  const { generation, keyId, holders } = await cluster.record()
  assert.equal(generation, 2)
  assert.deepEqual(holders, ['h1', 'h2'])
  assert.equal(generationOf(await cluster.stored(FACTORS)), 2)
  for (const asked of [keyId, oldKey]) {
    const answer = await cluster.ask('h4', 'h1', SHARE_CALL, { keyId: asked })
    assert.ok(!answer.ok)
    assert.equal(answer.error.code, 'forbidden')
  }
  assert.equal((await cluster.ask('h4', 'h1', KEEP_CALL, {})).ok, false)
  assert.doesNotMatch(stolen, new RegExp(keyId))
  assert.equal(cluster.host('h1').held.find(oldKey), undefined, 'nobody has a share of the old one any more')
  await cluster.start('h3')
  await cluster.settle()
  assert.equal(await read(cluster.host('h3'), FACTORS), 'x')
})

test('the last host that is left of three has the secrets still, once the lost ones were removed', async (t) => {
  const cluster = await three(t, 'h1', 'h2', 'witness')
  await write(cluster.host('h1'), put(FACTORS, 'x'))
  await cluster.stop('h2')
  await cluster.stop('witness')
  await cluster.setMembers(['h1', 'witness'], ['ab'], { inOrder: true })
  await cluster.setMembers(['h1'], ['ab', 'cd'], { inOrder: true })
  await cluster.settle()
  assert.equal((await cluster.record()).keeping, 'beside')
  assert.equal(await read(cluster.host('h1'), FACTORS), 'x')
})

test('who was removed and joins again under the same name is somebody else', async (t) => {
  const cluster = await three(t)
  await cluster.setMembers(['h1', 'h2', 'h3'], ['ab'])
  await cluster.settle()
  assert.equal((await cluster.record()).generation, 2)
})

test('a witness is given no share, and gives none to keep', async (t) => {
  const cluster = await three(t, 'h1', 'h2', 'witness')
  const { keyId } = await cluster.record()
  for (const [call, input] of [
    [SHARE_CALL, { keyId }],
    [KEEP_CALL, { keyId, generation: 1, kind: 'share', value: '00'.repeat(32) }],
  ] as const) {
    const answer = await cluster.ask('witness', 'h1', call, input)
    assert.ok(!answer.ok)
    assert.equal(answer.error.code, 'forbidden')
  }
  await cluster.coordinate('witness')
  await cluster.setMembers(['h1', 'h2', 'witness'], ['ab'])
  await cluster.settle()
  assert.equal((await cluster.record()).generation, 2, 'where it coordinates, a host keeps the key')
})

test('a cluster with secrets in clear reads them, and seals them once every member can have a share', async (t) => {
  const cluster = new VaultFixture(t, 'h1', 'h2', 'h3')
  await write({ store: cluster.raw }, put(FACTORS, 'x'), put(REALM, realm('hunter2')))
  await cluster.start('h1', 'h2')
  await cluster.settle()
  assert.equal(await cluster.stored(KEYS.vault), '')
  assert.equal(await read(cluster.host('h1'), FACTORS), 'x')
  await write(cluster.host('h1'), put(FACTORS, 'y'))
  assert.equal(await cluster.stored(FACTORS), 'y')
  await cluster.start('h3')
  await cluster.settle()
  assert.equal(generationOf(await cluster.stored(FACTORS)), 1)
  assert.match(await cluster.stored(REALM), /stead-sealed:1:/)
  assert.equal(await read(cluster.host('h3'), FACTORS), 'y')
})

test('whoever dies in the middle of a new key leaves one that opens everything', async (t) => {
  const users = Array.from({ length: 120 }, (_, index) => SECRET_KEYS.password(`u${index}`))
  for (let calls = 0; calls < 4; calls++) {
    const cluster = await three(t)
    const wrote = await write(cluster.host('h1'), ...users.map((key) => put(key, `of ${key}`)))
    assert.ok(wrote.ok)
    await cluster.setMembers(['h1', 'h2', 'h3'], ['ab'])
    await cluster.settle(1)
    // The keeper dies after so many calls of the next one.
    await cluster.setMembers(['h1', 'h2', 'h3'], ['ab', 'cd'])
    cluster.callsLeft = 2 + calls
    await cluster.host('h1').keeper.look()
    cluster.callsLeft = Number.POSITIVE_INFINITY
    for (const host of ['h1', 'h2', 'h3']) await cluster.stop(host)
    await cluster.start('h2', 'h3')
    await cluster.coordinate('h3')
    await cluster.settle()
    assert.ok((await cluster.record()).generation >= 3)
    for (const key of users) assert.equal(await read(cluster.host('h2'), key), `of ${key}`)
    for (const key of users) assert.match(await cluster.stored(key), /^stead-sealed:[34]:/)
  }
})

test('resealing that is interrupted leaves both generations readable, and goes on', async (t) => {
  const cluster = await three(t)
  const users = Array.from({ length: 120 }, (_, index) => SECRET_KEYS.password(`u${index}`))
  await write(cluster.host('h1'), ...users.map((key) => put(key, `of ${key}`)))
  await cluster.setMembers(['h1', 'h2', 'h3'], ['ab'])
  const raw = cluster.raw
  const transact = raw.transact.bind(raw)
  let left = 2
  // The new key is written, and the first fifty records; then the store gives no majority any more.
  raw.transact = async (transaction) => (left-- > 0 ? transact(transaction) : { ok: false, error: NO_QUORUM })
  await cluster.settle(1)
  raw.transact = transact
  const generations = new Set<number | undefined>()
  for (const key of users) generations.add(generationOf(await cluster.stored(key)))
  assert.deepEqual([...generations].toSorted(), [1, 2])
  await cluster.host('h2').keeper.look()
  for (const key of users) assert.equal(await read(cluster.host('h2'), key), `of ${key}`)
  await cluster.settle()
  for (const key of users) assert.equal(generationOf(await cluster.stored(key)), 2)
})

const NO_QUORUM = { code: 'no_quorum', message: 'no majority' } as const
