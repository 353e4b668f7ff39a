/** Every folder of `scenarios/` as a test: what must hold holds, no promise is broken, and the log is as expected. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { playFolder, scenarioNames } from '../dev.d/scenario-folders.ts'

for (const name of scenarioNames())
  test(`scenario ${name}`, async () => {
    const { failures, differences } = await playFolder(name)
    assert.deepEqual(failures, [])
    const lines = differences?.map(({ sign, line }) => `${sign} ${line}`) ?? []
    assert.deepEqual(lines, [], `to see it: ./dev sim scenario ${name}`)
  })

test('the table of scenarios names each of them', () => {
  const table = readFileSync(join(import.meta.dirname, '..', 'scenarios', 'README.md'), 'utf8')
  const named = [...table.matchAll(/^\| \[([\w-]+)\]/gm)].map(([, name]) => name ?? '')
  assert.deepEqual(named.toSorted(), scenarioNames().toSorted())
})
