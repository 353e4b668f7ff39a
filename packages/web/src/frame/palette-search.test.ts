import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FOUND_MAX, search } from './palette-search.ts'

const item = (name: string, words = '') => ({ id: name, name, words })
const names = (found: readonly { name: string }[]) => found.map(({ name }) => name)

test('the name itself comes first, then names that begin so, that contain it, and other words', () => {
  const items = [item('files', 'web'), item('my-web'), item('web-1'), item('web'), item('mail')]
  assert.deepEqual(names(search(items, 'web')), ['web', 'web-1', 'my-web', 'files'])
})

test('all words must be there, in any order and case', () => {
  const items = [item('web-1', 'h1 shop'), item('web-2', 'h2 shop')]
  assert.deepEqual(names(search(items, 'Shop H2')), ['web-2'])
  assert.deepEqual(names(search(items, 'shop h3')), [])
})

test('a few are enough', () => {
  const items = Array.from({ length: 10_000 }, (_, index) => item(`vm-${index}`))
  assert.equal(search(items, 'vm').length, FOUND_MAX)
  assert.equal(search(items, '').length, FOUND_MAX)
  assert.deepEqual(names(search(items, 'vm-9999')), ['vm-9999'])
})
