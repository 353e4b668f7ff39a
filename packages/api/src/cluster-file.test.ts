import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anyClusterFile, SMALL_FILE } from '@stead/core/model/cluster-file-fixture.ts'
import fc from 'fast-check'
import { parseClusterFile } from './cluster-file.ts'

const [h1, h2, witness] = SMALL_FILE.hosts
const [web, db] = SMALL_FILE.guests

const read = (change: object) => parseClusterFile(JSON.stringify({ ...SMALL_FILE, ...change }))

function refusalOf(result: ReturnType<typeof parseClusterFile>): string {
  assert.ok(!result.ok, 'the file was taken')
  assert.equal(result.error.code, 'bad_request')
  return result.error.message.replace('The cluster file is not valid: ', '')
}

test('every valid file is read as it is written', () => {
  fc.assert(
    fc.property(anyClusterFile, (file) => {
      assert.deepEqual(parseClusterFile(JSON.stringify(file)), { ok: true, value: file })
    }),
    { numRuns: 100 },
  )
})

test('a text that is no JSON is refused with its line', () => {
  const text = JSON.stringify(SMALL_FILE, null, 2).replace('"cpus": 16', '"cpus": NaN')
  assert.equal(refusalOf(parseClusterFile(text)), 'line 8, column 15: expected a value, found NaN')
})

test('a field that is there twice is refused, since nobody knows which counts', () => {
  const text = JSON.stringify(SMALL_FILE).replace('"cpus":16', '"cpus":16,\n"cpus":8')
  assert.equal(refusalOf(parseClusterFile(text)), 'line 2, column 1: the field "cpus" is there twice')
})

test('a byte order mark is no error', () => {
  assert.ok(parseClusterFile(`\uFEFF${JSON.stringify(SMALL_FILE)}`).ok)
})

const bytesWanted = 'must be a whole number above 0, at most 1 PiB'
const apart = (...guests: string[]) => ({ id: 'r', kind: 'apart', guests, strict: true, across: 'host' })
const together = (...guests: string[]) => ({ id: 'both', kind: 'together', guests, strict: true })
const disk = { diskBytes: 1, replicasOn: ['h1'] }

const REFUSALS: readonly (readonly [name: string, change: object, message: string | RegExp])[] = [
  ['negative memory', { guests: [{ ...web, memoryBytes: -1 }] }, `guests[0].memoryBytes: ${bytesWanted}`],
  ['a fraction', { guests: [{ ...web, memoryBytes: 1.5 }] }, `guests[0].memoryBytes: ${bytesWanted}`],
  ['a number as text', { guests: [web, { ...db, memoryBytes: '16GiB' }] }, `guests[1].memoryBytes: ${bytesWanted}`],
  ['absurd memory', { hosts: [{ ...h1, memoryBytes: 2 ** 51 }] }, `hosts[0].memoryBytes: ${bytesWanted}`],
  ['a missing field', { hosts: [{ name: 'h1', cpus: 1 }] }, `hosts[0].memoryBytes: ${bytesWanted}`],
  ['no processors', { hosts: [{ ...h1, cpus: 0 }] }, 'hosts[0].cpus: must be a whole number above 0, at most 65536'],
  [
    'a priority out of range',
    { guests: [{ ...web, priority: 1e9 }] },
    'guests[0].priority: must be a whole number from -1000 to 1000',
  ],
  ['an unknown field', { hosts: [{ ...h1, ram: 1 }] }, 'hosts[0].ram: unknown field'],
  [
    'an unknown field of the policy',
    { policy: { balancing: { mode: 'off', scoreMax: 1, scoreGoal: 1, holdMs: 1, movesPerHourMax: 1, speed: 1 } } },
    'policy.balancing.speed: unknown field',
  ],
  ['an unknown field of a rule', { rules: [{ ...apart('web', 'db'), hard: true }] }, 'rules[0].hard: unknown field'],
  ['an unknown kind of rule', { rules: [{ ...apart('web'), kind: 'near' }] }, /^rules\[0\]\.kind: .*'apart'/],
  ['another format', { format: 'stead-cluster/9' }, 'format: must be "stead-cluster/1"'],
  ['no hosts', { hosts: [], guests: [] }, 'hosts: must have a host'],
  ['a host twice', { hosts: [h1, h2, h1] }, 'hosts[2].name: h1 is that of hosts[0] already'],
  ['a guest twice', { guests: [web, web] }, 'guests[1].name: web is that of guests[0] already'],
  ['a name with a line break', { guests: [{ ...web, name: 'a\nb' }] }, /^guests\[0\]\.name: must be a name/],
  ['an unknown host of a guest', { guests: [{ ...db, host: 'h9' }] }, 'guests[0].host: there is no host h9'],
  [
    'a guest on a witness',
    { guests: [{ ...db, host: 'w' }] },
    'guests[0].host: w is a witness, it holds no guests and no data',
  ],
  [
    'an unknown host of a replica',
    { guests: [{ ...db, replicasOn: ['h1', 'h9'] }] },
    'guests[0].replicasOn[1]: there is no host h9',
  ],
  ['a replica twice', { guests: [{ ...db, replicasOn: ['h1', 'h1'] }] }, 'guests[0].replicasOn[1]: h1 is there twice'],
  [
    'a stale replica that is none',
    { guests: [{ ...db, ...disk, staleOn: ['h2'] }] },
    'guests[0].staleOn[0]: h2 is not in replicasOn',
  ],
  [
    'stale without replicas',
    { guests: [{ ...db, staleOn: ['h2'] }] },
    'guests[0].staleOn: has no meaning without replicasOn',
  ],
  [
    'an unknown host of a further disk',
    { guests: [{ ...db, ...disk, moreDisks: [{ diskBytes: 1, replicasOn: ['h9'] }] }] },
    'guests[0].moreDisks[0].replicasOn[0]: there is no host h9',
  ],
  ['an unknown guest of a rule', { rules: [apart('web', 'dbb')] }, 'rules[0].guests[1]: there is no guest dbb'],
  ['a guest twice in a rule', { rules: [apart('web', 'web')] }, 'rules[0].guests[1]: web is there twice'],
  [
    'a rule on a witness',
    { rules: [{ id: 'r', kind: 'ban', guests: ['web'], hosts: ['w'] }] },
    'rules[0].hosts[0]: w is a witness, it holds no guests and no data',
  ],
  ['a rule id twice', { rules: [apart('web', 'db'), apart('db')] }, 'rules[1].id: r is that of rules[0] already'],
  [
    'a fault domain called host',
    { hosts: [{ ...h1, faultDomains: { host: 'x' } }], guests: [] },
    'hosts[0].faultDomains.host: is taken, every host is a fault domain of its own',
  ],
  [
    'rules that contradict',
    { rules: [apart('web', 'db'), together('web', 'db')] },
    'web and db must be together (rule both) and apart (rule r)',
  ],
  [
    'an order in a circle',
    {
      rules: [
        { id: 'a', kind: 'order', guests: ['web', 'db'], readyAfterMs: 0, mode: 'required' },
        { id: 'b', kind: 'order', guests: ['db', 'web'], readyAfterMs: 0, mode: 'required' },
      ],
    },
    'the order goes in a circle: web before db before web (rules a and b)',
  ],
]
for (const [name, change, message] of REFUSALS) {
  test(`refused: ${name}`, () => {
    const said = refusalOf(read(change))
    if (typeof message === 'string') assert.equal(said, message)
    else assert.match(said, message)
  })
}

test('a misspelt field gets the right one as a hint', () => {
  const result = read({ hosts: [{ ...h1, memoryByte: 1 }] })
  assert.equal(!result.ok && result.error.hint, 'Did you mean `memoryBytes`?')
})

test('of many problems the first ten are told, and how many there are', () => {
  const guests = Array.from({ length: 500 }, (_, index) => ({ name: `g${index}`, memoryBytes: 1, cpus: 1, host: 'h9' }))
  const said = refusalOf(read({ guests }))
  assert.equal(said.split('; ').length, 11)
  assert.match(said, /; and 490 more$/)
})

test('a million guests are refused by their number, before anything else is looked at', () => {
  const guest = JSON.stringify({ name: 'g', memoryBytes: -1, cpus: 1 })
  const guests = Array.from({ length: 1_000_000 }, () => guest).join(',')
  const text = `{"format": "stead-cluster/1", "name": "x", "hosts": [], "guests": [${guests}], "rules": []}`
  assert.equal(refusalOf(parseClusterFile(text)), 'guests: has 1,000,000 entries, at most 100,000 are taken')
})

test('lists nested a million deep are refused like any other text', () => {
  assert.match(refusalOf(parseClusterFile('['.repeat(1_000_000))), /^line 1, column 1000001: /)
  const nested = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
  const text = JSON.stringify({ ...SMALL_FILE, hosts: [h1, h2, witness, 0] }).replace(',0]', `,${nested}]`)
  assert.match(refusalOf(parseClusterFile(text)), /^hosts\[3\]: /)
})

test('values that are no objects are refused', () => {
  for (const text of ['null', '[]', '"x"', '{"hosts": {}}']) assert.ok(!parseClusterFile(text).ok, text)
})
