import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { KEY_BYTES, lineThrough, randomLine, shareFor } from './key-shares.ts'

const host = fc.stringMatching(/^[a-z][a-z0-9-]{0,31}$/)
const hosts = fc.uniqueArray(host, { minLength: 2, maxLength: 12 })

test('any two shares make the key, and the share of whoever comes later', () => {
  fc.assert(
    fc.property(hosts, host, (names, late) => {
      const line = randomLine()
      const shares = names.map((name) => shareFor(name, line))
      for (const [index, one] of shares.entries())
        for (const other of shares.slice(index + 1)) {
          const found = lineThrough(one, other)
          assert.deepEqual(found, line)
          assert.deepEqual(shareFor(late, found), shareFor(late, line))
        }
    }),
    { numRuns: 50 },
  )
})

test('one share fits every key: it says nothing about which', () => {
  fc.assert(
    fc.property(hosts, ([one = '', other = '']) => {
      const share = shareFor(one, randomLine())
      const { key: wanted } = randomLine()
      // The line through that share and any key there is: what another host would have to hold for it to be the one.
      const through = lineThrough(share, shareFor(other, randomLine()))
      assert.notDeepEqual(through.key, wanted)
      assert.deepEqual(shareFor(one, through), share)
    }),
    { numRuns: 50 },
  )
})

test('shares of two lines make another key', () => {
  const [line, other] = [randomLine(), randomLine()]
  const found = lineThrough(shareFor('h1', line), shareFor('h2', other))
  assert.notDeepEqual(found.key, line.key)
  assert.notDeepEqual(found.key, other.key)
})

test('values near the ends have their whole length', () => {
  const small = Buffer.alloc(KEY_BYTES, 0)
  small[KEY_BYTES - 1] = 1
  const line = { key: small, slope: Buffer.alloc(KEY_BYTES, 0) }
  assert.deepEqual(shareFor('h1', line).value, small)
  assert.deepEqual(lineThrough(shareFor('h1', line), shareFor('h2', line)), line)
})
