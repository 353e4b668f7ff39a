import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ROOT } from './run-program.ts'
import { MUTATIONS } from './sim-mutations.ts'

test('each text that a mutation replaces is found once in its file', () => {
  for (const { rule, edits, redundantWith } of MUTATIONS)
    for (const { file, text } of [...edits, ...(redundantWith?.edits ?? [])])
      assert.equal(readFileSync(join(ROOT, file), 'utf8').split(text).length - 1, 1, `${rule}: ${file}: ${text}`)
})
