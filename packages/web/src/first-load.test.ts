/** What a browser must fetch before it shows anything: the built files that `./dev setup` has made. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'

const DIST = join(import.meta.dirname, '..', 'dist')
const FIRST_LOAD_BYTES_MAX = 300_000

const index = readFileSync(join(DIST, 'index.html'), 'utf8')
const files = [...index.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path = '']) => path)

test('the first load is at most 300 kB, packed', () => {
  const sizes = files.map((file) => [gzipSync(readFileSync(join(DIST, file)), { level: 9 }).length, file] as const)
  const total = sizes.reduce((sum, [bytes]) => sum + bytes, gzipSync(index).length)
  const largest = sizes.toSorted(([a], [b]) => b - a).slice(0, 8)
  assert.ok(total <= FIRST_LOAD_BYTES_MAX, `${total} bytes; the largest: ${largest.join(' ')}`)
})

test('the page loads its own files only, and holds no script and no style itself', () => {
  assert.ok(files.length > 2)
  assert.doesNotMatch(index, /(?:src|href)="(?:https?:)?\/\//)
  assert.doesNotMatch(index, /<style/)
  for (const [, script] of index.matchAll(/<script[^>]*>([^<]*)<\/script>/g)) assert.equal(script, '')
})
