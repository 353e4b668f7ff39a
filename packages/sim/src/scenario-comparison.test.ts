import assert from 'node:assert/strict'
import { test } from 'node:test'
import { differencesIn } from './scenario-comparison.ts'

const EXPECTED = ['@1000 cut h3', '  h3 is lost', '  g1 runs on h2 (within 3 s)', '', 'At the end: all']

/** With their signs, without what is as expected. */
function told(found: readonly string[]): readonly string[] {
  const differences = differencesIn(EXPECTED, found) ?? []
  return differences.filter(({ sign }) => sign !== ' ').map(({ sign, line }) => `${sign}${line}`)
}

test('equal logs do not differ', () => {
  assert.equal(differencesIn(EXPECTED, [...EXPECTED]), undefined)
})

test('sooner than expected is as expected, later is not', () => {
  const withBound = (bound: number) => EXPECTED.map((line) => line.replace('3 s', `${bound} s`))
  assert.deepEqual(told(withBound(2)), [])
  assert.deepEqual(told(withBound(4)), ['-  g1 runs on h2 (within 3 s)', '+  g1 runs on h2 (within 4 s)'])
})

test('a line that is missing, one too many, and one in another place are named', () => {
  assert.deepEqual(told(EXPECTED.toSpliced(1, 1)), ['-  h3 is lost'])
  assert.deepEqual(told(EXPECTED.toSpliced(2, 0, '  h2 coordinates')), ['+  h2 coordinates'])
  assert.deepEqual(told(EXPECTED.toSpliced(0, 2, '  h3 is lost', '@1000 cut h3')).length, 2)
})
