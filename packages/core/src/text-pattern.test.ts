import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePattern } from './text-pattern.ts'

function matches(pattern: string, line: string): boolean {
  const parsed = parsePattern(pattern)
  assert(parsed.ok, parsed.ok ? '' : parsed.error.message)
  return parsed.value.matches(line)
}

/** The language's own expressions are the yardstick. */
const PATTERNS = [
  ...[
    '',
    'a',
    'abc',
    'a.c',
    '^a',
    'c$',
    '^abc$',
    '^$',
    'a|b',
    '(a|b)c',
    'a*',
    'a+b',
    'ab?c',
    'a{2}',
    'a{2,}',
    'a{1,2}b',
  ],
  ...[
    '[abc]x',
    '[^abc]',
    '[a-c-]+',
    '[]a]',
    '\\d+',
    '\\D',
    '\\w\\s\\w',
    '\\S+',
    'a\\.b',
    '(?:ab)+c',
    '(a|b|)c',
    'a+?b',
  ],
  ...['login: ?$', '^(ready|up) \\d{1,3}\\.\\d+$', '((a|b)*c|d)+$', 'x{', 'a{,2}'],
]
const LINES = [
  ...[
    '',
    'a',
    'b',
    'c',
    'abc',
    'abcabc',
    'aac',
    'ac',
    'aab',
    'xabcx',
    'a.b',
    'axb',
    '-',
    ']',
    'x{',
    'a{,2}',
    'ax',
    'a b',
  ],
  ...['host login: ', 'ready 12.5', 'ready 1234.5', 'd', 'abacd', '\t', 'é'],
]

test('they match what the expressions of the language match', () => {
  for (const pattern of PATTERNS)
    for (const line of LINES)
      assert.equal(
        matches(pattern, line),
        new RegExp(pattern === '[]a]' ? '[\\]a]' : pattern).test(line),
        `${pattern} on ${JSON.stringify(line)}`,
      )
})

test('patterns that take other engines for ever take no time', () => {
  const line = `${'a'.repeat(1_000)}!`
  for (const pattern of ['(a+)+$', '(a|a)*b', '(a*)*b', '(a|aa)+$', '(.*a){20}b', '^(([a-z])+.)+[A-Z]([a-z])+$'])
    assert.equal(matches(pattern, line), false, pattern)
})

for (const [pattern, why] of [
  ['(a', /not closed/],
  ['a)', /closes nothing/],
  ['[a', /not closed/],
  ['*a', /nothing before/],
  ['^*', /nothing to repeat/],
  ['a**', /needs a group/],
  ['(?=a)', /looking ahead/],
  ['(a)\\1', /`\\1` is not known/],
  ['a\\', /ends with/],
  ['[z-a]', /no range/],
  ['a{3,2}', /ends before/],
  ['a{101}', /more than 100/],
  ['((a{100}){100}){100}', /too large/],
  ['a'.repeat(201), /longer than/],
] as const)
  test(`${pattern.slice(0, 20)} is refused`, () => {
    const parsed = parsePattern(pattern)
    assert(!parsed.ok && parsed.error.code === 'bad_request')
    assert.match(parsed.error.message, why)
  })
