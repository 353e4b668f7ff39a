import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MakingProgress } from '../model/file-making.ts'
import type { ImageImport } from '../model/image-import.ts'
import type { BlobId, HostId, OperationId } from '../model/ids.ts'
import type { Operation } from '../model/operation.ts'
import type { Image } from '../model/volume.ts'
import { ClusterFixture } from './cluster-fixture.ts'
import { operationOutcome } from './operations.ts'

const MIB = 2 ** 20
const BLOB = 'sha256:0' as BlobId

const OPERATION: Operation = {
  ...{ id: 'o' as OperationId, kind: 'image.import', subject: 'image/debian' },
  ...{ state: 'running', progress: 0, message: 'accepted', startedAt: 0 },
}

function outcomeAt(progress: MakingProgress, begun = 1): Operation {
  const { state } = new ClusterFixture()
  const target = { kind: 'disk', format: 'raw' } as const
  const value: ImageImport = {
    ...{ name: 'debian', id: 'i', host: 'h1' as HostId, source: BLOB, target },
    ...{ begun, progress, files: [], createdAt: 0 },
  }
  state.imports.set('debian', { value, revision: 1n })
  return operationOutcome(OPERATION, state)
}

test('an import tells its step, how much of that is done, and where', () => {
  const half = outcomeAt({ step: 'converting', doneBytes: 512 * MIB, totalBytes: 1024 * MIB })
  assert.deepEqual([half.state, half.progress], ['running', 0.5])
  assert.equal(half.message, 'converting it, 512 MiB of 1 GiB (h1)')
  assert.equal(outcomeAt({ step: 'unpacking', doneBytes: 3 * MIB }).message, 'unpacking it, 3 MiB so far (h1)')
  assert.equal(outcomeAt({ step: 'fetching' }, 2).message, 'fetching the upload (h1, begun again)')
})

test('its progress only grows, over the steps of a disk and over the disks of a machine', () => {
  const steps: MakingProgress[] = [{ step: 'waiting' }, { step: 'fetching' }]
  for (const number of [1, 2, 3])
    for (const step of ['checking', 'converting', 'digesting'] as const)
      for (const doneBytes of [0, 5, 10]) steps.push({ step, doneBytes, totalBytes: 10, disk: { number, of: 3 } })
  steps.push({ step: 'sending' })
  const seen = steps.map((progress) => outcomeAt(progress).progress)
  assert.deepEqual(
    seen,
    seen.toSorted((a, b) => a - b),
  )
  assert.ok(seen.every((share) => share >= 0 && share < 1))
  assert.match(outcomeAt(steps[12]!).message, /^disk 2 of 3: checking it/)
})

test('an operation without its record has succeeded when the image is there, and failed when it is not', () => {
  const { state } = new ClusterFixture()
  assert.equal(operationOutcome(OPERATION, state).state, 'failed')
  const image: Image = { name: 'debian', blob: BLOB, format: 'qcow2', virtualSizeBytes: 1, createdAt: 0 }
  state.images.set('debian', { value: image, revision: 1n })
  assert.equal(operationOutcome(OPERATION, state).state, 'succeeded')
})
