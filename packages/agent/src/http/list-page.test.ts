import assert from 'node:assert/strict'
import { test } from 'node:test'
import fastCheck from 'fast-check'
import { ENDPOINTS, ALL_ENDPOINTS } from '@stead/api/endpoints.ts'
import type { Endpoint } from '@stead/api/endpoint.ts'
import type { ListQuery } from '@stead/api/list-query.ts'
import { partOfList } from './list-page.ts'

type Item = Readonly<Record<string, unknown>>
const volumes: Endpoint = ENDPOINTS['volume.list']
const tokens: Endpoint = ENDPOINTS['token.list']

function part(endpoint: Endpoint, items: readonly Item[], query: ListQuery) {
  const answer = partOfList(endpoint, { items }, query)
  assert.ok(answer.ok, JSON.stringify(answer))
  return answer.value as { items: readonly Item[]; next?: string | null }
}
function refused(query: ListQuery, items: readonly Item[] = []) {
  const answer = partOfList(volumes, { items }, query)
  assert.ok(!answer.ok, 'it was taken')
  assert.equal(answer.error.code, 'bad_request')
  return answer.error
}
const ids = (items: readonly Item[]) => items.map(({ id }) => id)

test('a list of which no part is asked for is the very same', () => {
  const list = { items: [{ id: 'b' }, { id: 'a' }] }
  const answer = partOfList(volumes, list, {})
  assert.ok(answer.ok && answer.value === list)
})

test('whatever comes and goes between two pages, each item that stays is told once', () => {
  const key = fastCheck.string({ maxLength: 3 })
  fastCheck.assert(
    fastCheck.property(
      fastCheck.uniqueArray(key, { maxLength: 30 }),
      fastCheck.infiniteStream(fastCheck.tuple(fastCheck.boolean(), key)),
      fastCheck.integer({ min: 1, max: 7 }),
      (first, changes, limit) => {
        let present = new Set(first)
        const stayed = new Set(first)
        const told: unknown[] = []
        let cursor: string | undefined
        for (;;) {
          const items = [...present].map((id) => ({ id }))
          const page = part(volumes, items, { limit, ...(cursor === undefined ? {} : { cursor }) })
          assert.ok(page.items.length <= limit)
          told.push(...ids(page.items))
          if (page.next === null) break
          cursor = page.next
          present = new Set(present)
          for (const [comes, id] of Array.from({ length: 2 }, () => changes.next().value)) {
            if (comes) present.add(id)
            else if (present.delete(id)) stayed.delete(id)
          }
        }
        assert.equal(new Set(told).size, told.length, 'one was told twice')
        for (const id of stayed) assert.ok(told.includes(id), `${id} was left out`)
      },
    ),
  )
})

test('items of the same name are told apart by what else they are known by', () => {
  const items = ['b', 'a', 'c'].map((user) => ({ user, name: 'ci' }))
  const first = part(tokens, items, { limit: 2 })
  const second = part(tokens, items, { limit: 2, cursor: first.next! })
  assert.deepEqual(
    [...first.items, ...second.items].map(({ user }) => user),
    ['a', 'b', 'c'],
  )
  assert.equal(second.next, null)
})

test('a cursor of another list, or one made up, is refused', () => {
  const { next } = part(
    tokens,
    [
      { user: 'a', name: 'x' },
      { user: 'b', name: 'x' },
    ],
    { limit: 1 },
  )
  for (const cursor of [next!, '', 'x', '!!', Buffer.from('null').toString('base64url'), 'e30'])
    assert.match(refused({ cursor }).message, /cursor/)
})

const GUESTS = [
  { id: 'a', name: 'web1', sizeBytes: 10, ready: true, replicas: [{ host: 'h1' }, { host: 'h2' }], guest: null },
  { id: 'b', name: 'db,1', sizeBytes: 20, ready: false, replicas: [{ host: 'h2' }], guest: 'g' },
  { id: 'c', name: 'WEB2', sizeBytes: 9, ready: true, replicas: [], guest: 'h "1"' },
]
for (const [filter, found] of [
  ['name=web1', 'a'],
  ['name~web', 'ac'],
  ['name!=web1', 'bc'],
  ['sizeBytes>9', 'ab'],
  ['sizeBytes>=10,sizeBytes<20', 'a'],
  ['sizeBytes=1e1', 'a'],
  ['sizeBytes=', ''],
  ['ready=true', 'ac'],
  ['guest=null', 'a'],
  ['replicas.host=h2', 'ab'],
  ['replicas.host!=h2', 'c'],
  ['name="db,1"', 'b'],
  ['guest = "h \\"1\\"" , ready = true', 'c'],
  ['replicas.constructor=x', ''],
  ['name<=db,2', undefined],
  ['', undefined],
  [',', undefined],
  ['name', undefined],
  ['=x', undefined],
  ['name="x', undefined],
  ['name=x,', undefined],
  ['__proto__=x', undefined],
  ['constructor=x', undefined],
  ['colour=red', undefined],
  [Array.from({ length: 21 }, () => 'name=x').join(','), undefined],
] as const) {
  test(`the filter \`${filter.slice(0, 40)}\` ${found === undefined ? 'is refused' : `finds ${found || 'nothing'}`}`, () => {
    if (found === undefined) return void refused({ filter }, GUESTS)
    assert.equal(ids(part(volumes, GUESTS, { filter }).items).join(''), found)
  })
}

test('only the fields that are asked for are told, and none that there is not', () => {
  const { items } = part(volumes, GUESTS, { fields: 'name, ready', limit: 1 })
  assert.deepEqual(items, [{ name: 'web1', ready: true }])
  assert.match(refused({ fields: 'name,colour' }).message, /colour/)
  assert.match(refused({ fields: '' }).message, /no field/)
  assert.match(refused({ fields: '__proto__' }).hint ?? '', /sizeBytes/)
})

test('whatever the filter, it is read or refused', () => {
  fastCheck.assert(
    fastCheck.property(fastCheck.string({ maxLength: 200 }), (filter) => {
      const answer = partOfList(volumes, { items: GUESTS }, { filter })
      assert.ok(answer.ok || answer.error.code === 'bad_request')
    }),
    { numRuns: 500 },
  )
})

test('every list can be asked for in parts, but for those that go by time, and what is no list of objects', () => {
  const OWN_WAY = ['audit.list', 'event.list', 'foresight.single-failures']
  const lists = ALL_ENDPOINTS.filter(({ method, response }) => method === 'GET' && 'items' in shapeOf(response))
  assert.ok(lists.length > 20)
  for (const { id, response, listedBy, query } of lists) {
    assert.equal(listedBy === undefined, OWN_WAY.includes(id), id)
    const item = shapeOf((shapeOf(response)['items'] as unknown as { element: Endpoint['response'] }).element)
    for (const field of listedBy ?? []) assert.ok(field in item, `${id}: ${field}`)
    if (listedBy)
      for (const own of Object.keys(query?.shape ?? {})) assert.ok(!'limit cursor filter fields'.includes(own))
  }
})

function shapeOf(schema: Endpoint['response']): Readonly<Record<string, unknown>> {
  return (schema as { shape?: Readonly<Record<string, unknown>> }).shape ?? {}
}
