import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GuestView, HostView } from '@stead/api/views.ts'
import { treeRows, type TreeOrder } from './tree-rows.ts'

const guest = (name: string, host: string | null, tags: string[] = [], kind = 'vm', project = 'default') =>
  ({ id: name, name, host, tags, kind, project }) as unknown as GuestView
const host = (name: string) => ({ name }) as HostView

const GUESTS = [
  guest('db', 'h2', ['shop']),
  guest('old', null, []),
  guest('web', 'h1', ['shop', 'front'], 'ct', 'customer'),
]

const shown = (order: TreeOrder, closed: string[] = []) =>
  treeRows(order, GUESTS, [host('h1'), host('h2'), host('h3')], new Set(closed)).map((row) =>
    row.kind === 'group' ? `${row.name}(${row.count})` : ` ${row.guest.name}`,
  )

test('by host: every host, empty ones too, and last the guests that run nowhere', () => {
  assert.deepEqual(shown('host'), ['h1(1)', ' web', 'h2(1)', ' db', 'h3(0)', '(1)', ' old'])
})

test('by tag: a guest stands under each of its tags', () => {
  assert.deepEqual(shown('tag'), ['front(1)', ' web', 'shop(2)', ' db', ' web', '(1)', ' old'])
})

test('by project: whose they are', () => {
  assert.deepEqual(shown('project'), ['customer(1)', ' web', 'default(2)', ' db', ' old'])
})

test('by kind: machines before containers', () => {
  assert.deepEqual(shown('kind'), ['vm(2)', ' db', ' old', 'ct(1)', ' web'])
})

test('a closed group hides what is in it, in its own order only', () => {
  assert.deepEqual(shown('host', ['host/h1', 'tag/shop']), ['h1(1)', 'h2(1)', ' db', 'h3(0)', '(1)', ' old'])
})

test('no two rows have the same id', () => {
  const ids = treeRows('tag', GUESTS, [], new Set()).map(({ id }) => id)
  assert.equal(new Set(ids).size, ids.length)
})
