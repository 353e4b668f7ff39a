import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jsonOf, keepJson, keepList } from './kept-json.ts'

test('a list with kept items is the same document', () => {
  const items = [{ name: 'ä' }, { name: 'b', of: [1, null] }, { name: 'c' }]
  for (const which of [[], [0], [1, 2], [0, 1, 2]])
    for (const list of [[], items.slice(0, 1), items]) {
      for (const index of which) keepJson(items[index]!, Buffer.from(JSON.stringify(items[index])))
      assert.equal(jsonOf({ items: list }).toString(), JSON.stringify({ items: list }))
      assert.equal(jsonOf({ items: list, next: 'x' }).toString(), JSON.stringify({ items: list, next: 'x' }))
    }
})
test('what is no list is as ever', () => {
  for (const value of [null, {}, [], { items: 'x' }, { items: null }, 'text', 7])
    assert.equal(jsonOf(value).toString(), JSON.stringify(value))
})

test('a list that is kept is put together once', () => {
  const list = [{ name: 'a' }, { name: 'b' }]
  keepJson(list[0]!, Buffer.from(JSON.stringify(list[0])))
  assert.notEqual(jsonOf({ items: list }), jsonOf({ items: list }))
  keepList(list)
  assert.equal(jsonOf({ items: list }), jsonOf({ items: list }))
  assert.equal(jsonOf({ items: list }).toString(), JSON.stringify({ items: list }))
  assert.equal(jsonOf({ items: list, next: 1 }).toString(), JSON.stringify({ items: list, next: 1 }))
})
