import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { VolumeId } from '@stead/core/model/ids.ts'
import { SubvolumeFolder } from './subvolume-folder.ts'

test('a snapshot is one from its preparation on, whether it was cut, or sealed, or never', (context) => {
  const pool = mkdtempSync(join(tmpdir(), 'stead-subvolumes-'))
  context.after(() => rmSync(pool, { recursive: true }))
  const folder = new SubvolumeFolder(pool)
  const volume = 'v1' as VolumeId
  assert.deepEqual(folder.snapshotsOf(volume), [])
  for (const subvolume of ['v1', 'v1.new', 'v1.snap-cut', 'v1.snap-sealed', 'v11.snap-other'])
    mkdirSync(join(folder.path, subvolume), { recursive: true })
  for (const file of ['v1.json', 'v1.snap-cut.new', 'v1.snap-prepared.new']) writeFileSync(join(folder.path, file), '')
  assert.deepEqual(folder.snapshotsOf(volume).toSorted(), ['cut', 'prepared', 'sealed'])
})
