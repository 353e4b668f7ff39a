import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toYaml } from './output.ts'
import { formatSize, parseDuration, parseSince, parseSize } from './quantities.ts'

test('sizes are read in binary and SI units', () => {
  const cases = {
    '128MiB': 2 ** 27,
    '1.5GiB': 1.5 * 2 ** 30,
    '500MB': 5e8,
    '1048576': 2 ** 20,
    '2 tib': 2 ** 41,
    '0': 0,
  }
  for (const [text, size] of Object.entries(cases)) assert.equal(parseSize(text, '--disk'), size, text)
  for (const wrong of ['', '1G', 'GiB', '-1', '1.5', '1e9', '0x10', '99999999TiB']) {
    assert.throws(() => parseSize(wrong, '--disk'), /--disk: .* is not a size/, wrong)
  }
})

test('durations are seconds unless a unit says otherwise', () => {
  const cases = { '30s': 30_000, '2m': 120_000, '500ms': 500, '5': 5000, '1.5h': 5_400_000 }
  for (const [text, ms] of Object.entries(cases)) assert.equal(parseDuration(text, '--timeout'), ms, text)
  assert.throws(() => parseDuration('soon', '--timeout'), /not a duration/)
})

test('--since takes a time, how long ago, or an id', () => {
  const now = Date.parse('2026-01-31T12:00:00Z')
  assert.equal(parseSince('10m', now), '2026-01-31T11:50:00.000Z')
  assert.equal(parseSince('2026-01-31T11:00:00Z', now), '2026-01-31T11:00:00.000Z')
  assert.equal(parseSince('h1-000042', now), 'h1-000042')
  assert.throws(() => parseSince('2026-99-99', now), /not a time/)
  assert.throws(() => parseSince('99999999999999d', now), /no time so long ago/)
})

test('sizes are shown with the unit that fits', () => {
  assert.deepEqual([0, 512, 1536, 2 ** 27, 1.25 * 2 ** 40].map(formatSize), [
    '0 B',
    '512 B',
    '1.5 KiB',
    '128 MiB',
    '1.3 TiB',
  ])
})

test('YAML quotes what it would take for something else', () => {
  const text = toYaml({
    name: 'web1',
    on: 'yes',
    note: 'a: b',
    when: '2026-01-31',
    list: [{ a: 1, b: [null, true] }, []],
    none: {},
  })
  assert.equal(
    text,
    'name: web1\n"on": "yes"\nnote: "a: b"\nwhen: "2026-01-31"\nlist:\n  - a: 1\n    b:\n      - null\n      - true\n  - []\nnone: {}\n',
  )
})
