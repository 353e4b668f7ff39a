import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filtered, nextOrder, ordered, type Column } from './row-order.ts'

interface Row {
  readonly name: string
  readonly size: number
}
const columns: Column<Row>[] = [
  { id: 'name', value: ({ name }) => name },
  { id: 'size', value: ({ size }) => size },
]
const rows: Row[] = [
  { name: 'vm-10', size: 2 },
  { name: 'vm-9', size: 2 },
  { name: 'Mail', size: 10 },
]
const names = (some: readonly Row[]) => some.map(({ name }) => name)

test('names are sorted as people count, sizes as numbers', () => {
  assert.deepEqual(names(ordered(rows, columns, { column: 'name', descending: false })), ['Mail', 'vm-9', 'vm-10'])
  assert.deepEqual(names(ordered(rows, columns, { column: 'size', descending: true })), ['Mail', 'vm-10', 'vm-9'])
  assert.equal(ordered(rows, columns, undefined), rows)
})

test('a column is sorted upwards, downwards, and then no more', () => {
  const first = nextOrder(undefined, 'name')
  assert.deepEqual(first, { column: 'name', descending: false })
  const second = nextOrder(first, 'name')
  assert.deepEqual(second, { column: 'name', descending: true })
  assert.equal(nextOrder(second, 'name'), undefined)
  assert.deepEqual(nextOrder(second, 'size'), { column: 'size', descending: false })
})

test('a filter wants all of its words, in any case', () => {
  assert.deepEqual(names(filtered(rows, ' VM 9', ({ name }) => name)), ['vm-9'])
  assert.equal(
    filtered(rows, '  ', ({ name }) => name),
    rows,
  )
})
