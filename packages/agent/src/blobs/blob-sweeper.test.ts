import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { BackupId } from '@stead/core/model/backup.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { TestBackend } from '../backend/backend-fixture.ts'
import { realClock } from '../real-clock.ts'
import { keepBlobsTidy, unnamedFiles } from './blob-sweeper.ts'

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
    file('sha256-dump', 0.2)
    file('sha256-a.part', 7)
    file('sha256-b.part', 25)
    const found = await unnamedFiles(
      folder,
      new Set(['sha256:named'] as BlobId[]),
      new Set(['sha256:dump'] as BlobId[]),
      nowMs,
    )
    assert.deepEqual(found.toSorted(), ['sha256-b.part', 'sha256-dump', 'sha256-old'])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('the file of a backup goes with its record, and not one that something else names', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'stead-sweep-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  const cluster = new ClusterFixture(1)
  const backend = await TestBackend.start(context, cluster)
  const backup = (id: string, blob: string) =>
    backend.put(KEYS.backup(id as BackupId), {
      ...{ id, guest: 'g1', guestName: 'c1', host: 'h1', mode: 'stop', compress: 'zstd', createdAt: 0 },
      ...{ expiresAt: 4_102_444_800_000, file: { blob, sizeBytes: 1, tookMs: 1, pausedMs: 0 } },
    })
  const [one, two] = ['1', '2'].map((digit) => `sha256:${digit.repeat(64)}`) as [string, string]
  const fileOf = (blob: string) => join(folder, blob.replace(':', '-'))
  for (const blob of [one, two]) writeFileSync(fileOf(blob), '')
  await backup('a', one)
  await backup('b', two)
  await backup('c', two)
  const over = new AbortController()
  const { mirror, log } = backend
  const looked = Promise.withResolvers<void>()
  let waits = 0
  const watched = {
    loaded: true,
    get state() {
      return mirror.state
    },
    until: (...asked: Parameters<typeof mirror.until>) => {
      // It waits for a change for the second time: what there is it has seen.
      if (++waits === 2) looked.resolve()
      return mirror.until(...asked)
    },
  }
  const kept = keepBlobsTidy(
    { directory: folder, mirror: watched, clock: realClock, log, dumps: new Set() },
    over.signal,
  )
  const writes = ['a', 'b'].map((id) => ({ kind: 'delete', key: KEYS.backup(id as BackupId) }) as const)
  await looked.promise
  await backend.store.transact({ compares: [], writes })
  for (const deadline = Date.now() + 5_000; existsSync(fileOf(one)) && Date.now() < deadline;) await realClock.sleep(10)
  assert.deepEqual([existsSync(fileOf(one)), existsSync(fileOf(two))], [false, true])
  over.abort()
  await kept
})
