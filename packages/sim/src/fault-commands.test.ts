import assert from 'node:assert/strict'
import { test } from 'node:test'
import { COMMANDS, parseCommands, printCommand } from './fault-commands.ts'
import { planFaults } from './fault-plan.ts'

test('what is printed can be read again', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const { commands } = planFaults(seed)
    const read = parseCommands(commands.map(printCommand).join('\n'))
    assert.deepEqual(read, { ok: true, value: commands })
  }
})

test('empty lines and notes are left out', () => {
  const read = parseCommands('# the first host\n\n  @1200 power-off h1\n@1300 cut h2 lan san\n')
  assert.deepEqual(read.ok && read.value, [
    { atMs: 1200, verb: 'power-off', args: ['h1'] },
    { atMs: 1300, verb: 'cut', args: ['h2', 'lan', 'san'] },
  ])
})

test('a line that cannot be read is named, with what is wrong', () => {
  const complaints: readonly (readonly [string, RegExp])[] = [
    ['power-off h1', /Line 1: it begins with the time/],
    ['@1 explode h1', /there is no command explode/],
    ['@1 power-off', /power-off takes host, not nothing/],
    ['@1 power-off h1 h2', /power-off takes host, not h1 h2/],
    ['@1 cut h1 wan', /there is no network wan; there are lan, san, ran/],
    ['@1 drift h1 fast', /fast is not a number/],
    ['@1 kill-guest ../x', /is not a name/],
  ]
  for (const [line, expected] of complaints) {
    const read = parseCommands(line)
    assert.ok(!read.ok, line)
    assert.match(read.error.message, expected)
  }
})

test('every command says what it does', () => {
  for (const [verb, { does }] of Object.entries(COMMANDS)) assert.match(does, /^[a-z]/, verb)
})
