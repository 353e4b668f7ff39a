import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { expositionText } from './exposition.ts'
import { readExposition } from './exposition-fixture.ts'

test('a family is its help, its type and its values', () => {
  const samples = [{ labels: { host: 'h1', pool: 'fast' }, value: 1.5 }, { value: 2 }]
  assert.equal(
    expositionText([{ name: 'stead_x_total', type: 'counter', help: 'What it is', samples }]),
    '# HELP stead_x_total What it is\n# TYPE stead_x_total counter\nstead_x_total{host="h1",pool="fast"} 1.5\nstead_x_total 2\n',
  )
})

test('what cannot be told is left out, and a family of which nothing can be told whole', () => {
  const family = { name: 'stead_x', type: 'gauge', help: 'x' } as const
  assert.equal(expositionText([{ ...family, samples: [{ value: undefined }] }]), '')
  assert.equal(expositionText([{ ...family, samples: [] }]), '')
  assert.match(
    expositionText([{ ...family, samples: [{ value: undefined }, { value: Infinity }] }]),
    /^stead_x \+Inf$/m,
  )
})

test('whatever stands in a label or a help, the text can be read', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.double(), (label, help, value) => {
      // A line ends at a line feed alone, as the format says.
      const samples = [{ labels: { a: label, b: 'x' }, value }]
      const read = readExposition(expositionText([{ name: 'stead_x', type: 'gauge', help: `h${help}`, samples }]))
      assert.equal(read.get('stead_x')!.samples.size, 1)
    }),
  )
})

test('the reader refuses what Prometheus refuses', () => {
  const head = '# HELP a b\n# TYPE a gauge\n'
  for (const text of [
    'a 1',
    'a 1\n',
    `${head}a{b=c} 1\n`,
    `${head}a{b="c} 1\n`,
    `${head}a one\n`,
    `${head}a 1\na 2\n`,
    `${head}b 1\n`,
    '# HELP a b\n# TYPE a counter\na 1\n',
    '# HELP a_ms b\n# TYPE a_ms gauge\na_ms 1\n',
    '# HELP a b\n# TYPE a gauge\n',
  ])
    assert.throws(() => readExposition(text), { name: 'AssertionError' }, text)
})
