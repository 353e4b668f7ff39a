import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { unnamedFiles } from './blob-sweeper.ts'

const HOUR_MS = 3_600_000

test('what is old and named by nothing is given up; what is new, named or still arriving is kept', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'stead-sweep-'))
  try {
    const nowMs = Date.now()
    const file = (name: string, ageHours: number) => {
      writeFileSync(join(folder, name), '')
      const seconds = (nowMs - ageHours * HOUR_MS) / 1000
      utimesSync(join(folder, name), seconds, seconds)
    }
    file('sha256-named', 100)
    file('sha256-new', 1)
    file('sha256-old', 7)
    file('sha256-a.part', 7)
    file('sha256-b.part', 25)
    const found = await unnamedFiles(folder, new Set(['sha256:named']), nowMs)
    assert.deepEqual(found.toSorted(), ['sha256-b.part', 'sha256-old'])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
