import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { jsonProblemIn } from './json-position.ts'

const problemOf = (text: string) => {
  const found = jsonProblemIn(text)
  return found && `${found.line}:${found.column} ${found.problem}`
}

test('any JSON has no problem, however it is laid out', () => {
  fc.assert(
    fc.property(fc.json(), fc.nat(4), (text, space) => {
      assert.equal(problemOf(text), undefined)
      assert.equal(problemOf(JSON.stringify(JSON.parse(text), null, space)), undefined)
    }),
  )
})

test('a text with a character changed has a problem exactly when it is no JSON', () => {
  fc.assert(
    fc.property(
      fc.json(),
      fc.nat(),
      fc.constantFrom('"', '\\', ',', ':', '}', ']', '0', 'x', '\n', '.'),
      (text, at, other) => {
        const place = at % text.length
        const changed = `${text.slice(0, place)}${other}${text.slice(place + 1)}`
        const found = problemOf(changed)
        if (found?.includes('twice')) return
        assert.equal(found === undefined, parses(changed), changed)
      },
    ),
    { numRuns: 1000 },
  )
})

for (const [text, problem] of [
  ['{\n  "a": NaN\n}', '2:8 expected a value, found NaN'],
  ['{\n  "a": 1\n  "b": 2\n}', '3:3 expected , or }, found "b"'],
  ['[1,\n]', '2:1 expected a value, found ]'],
  ['{"a": "x\ny"}', '1:7 a text that does not end on its line, or with a wrong escape'],
  ['{"a": 01}', '1:7 expected a value, found 01'],
  ['{"a": 1,\n "a": 2}', '2:2 the field "a" is there twice'],
  ['{"a": 1, "\\u0061": 2}', '1:10 the field "\\u0061" is there twice'],
  ['', '1:1 expected a value, found the end of the text'],
  ['{"a": [', '1:8 expected a value or ], found the end of the text'],
  ['{} {}', '1:4 expected the end, found {'],
] as const) {
  test(`${JSON.stringify(text)} goes wrong at ${problem}`, () => assert.equal(problemOf(text), problem))
}

test('deep nesting and long texts cost no calls', () => {
  assert.match(problemOf('['.repeat(1_000_000)) ?? '', /the end of the text$/)
  assert.equal(problemOf(`"${'x'.repeat(10_000_000)}"`), undefined)
})

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
