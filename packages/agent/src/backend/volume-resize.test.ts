import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hardwareProgress } from '@stead/core/ha/hardware-operations.ts'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { OperationId, VolumeId } from '@stead/core/model/ids.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import { resizeVolumeChange } from './volume-resize.ts'

const GIB = 2 ** 30

/** The cluster with the volume's record changed. */
function given(change: (volume: Volume) => Volume = (volume) => volume): { state: ClusterState; volume: VolumeId } {
  const cluster = new ClusterFixture()
  const { volume } = cluster.guestWithDisk('web', ['h1', 'h2'])
  const known = cluster.state.volumes.get(volume.id)
  assert(known)
  const volumes = new Map(cluster.state.volumes).set(volume.id, { ...known, value: change(known.value) })
  return { state: { ...cluster.state, volumes }, volume: volume.id }
}

test('a wish for a larger volume is written, and nothing else', () => {
  const { state, volume } = given()
  const change = resizeVolumeChange(state, volume, 2 * GIB)
  assert(change.ok, change.ok ? '' : change.error.message)
  const [write, ...more] = change.value.writes
  assert(write?.kind === 'put')
  assert.deepEqual(more, [])
  const { growTo, sizeBytes } = JSON.parse(write.value) as Volume
  assert.deepEqual({ growTo, sizeBytes }, { growTo: 2 * GIB, sizeBytes: GIB })
})

for (const { what, change, sizeBytes = 2 * GIB, code } of [
  { what: 'a smaller size', sizeBytes: GIB / 2, code: 'bad_request' },
  { what: 'the size that it has', sizeBytes: GIB, code: 'bad_request' },
  { what: 'more than a pool has', sizeBytes: 2 ** 50, code: 'no_capacity' },
  { what: 'another size meanwhile', change: (volume) => ({ ...volume, growTo: 3 * GIB }), code: 'conflict' },
  { what: 'a part of the machine', change: (volume) => ({ ...volume, role: 'tpm' }), code: 'conflict' },
  { what: 'a disk that leaves', change: (volume) => ({ ...volume, attachment: 'leaving' }), code: 'conflict' },
  {
    what: 'a stale replica',
    change: (volume) => ({
      ...volume,
      replicas: volume.replicas.map((each) => (each.host === 'h2' ? { ...each, state: 'stale' } : each)),
    }),
    code: 'conflict',
  },
] satisfies readonly { what: string; change?: (volume: Volume) => Volume; sizeBytes?: number; code: string }[])
  test(`refused: ${what}`, () => {
    const { state, volume } = given(change)
    const refused = resizeVolumeChange(state, volume, sizeBytes)
    assert(!refused.ok)
    assert.equal(refused.error.code, code, refused.error.message)
  })

test('it is done once the record has the size and nobody runs with another', () => {
  const progress = ({ state, volume }: ReturnType<typeof given>) =>
    hardwareProgress(
      {
        ...{ id: 'o' as OperationId, kind: 'volume.resize', subject: `volume/${volume}`, state: 'running' },
        ...{ progress: 0, message: '', startedAt: 0 },
      },
      state,
    )?.state
  assert.equal(progress(given((each) => ({ ...each, growTo: 2 * GIB }))), 'running')
  assert.equal(progress(given()), 'succeeded')
})
