/** What every implementation of the port `VolumeHost` knows of earlier runs after a killed daemon and after a boot. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import type { Result } from '@stead/core/result.ts'
import type { ExportClient, VolumeHostFixture, VolumeHostSide } from './volume-host-contract.ts'

const BLOCK = 64 * 1024
const SIZE = 8 * 1024 * 1024
const TIMEOUT_MS = 60_000

export interface KeptRunsSide extends VolumeHostSide {
  /** The storage daemon is killed. */
  killDaemon(): Promise<void>
  startDaemon(): Promise<void>
  /** The host boots; whatever its disk's cache had is there again this time. */
  boot(): Promise<void>
}

export interface KeptRunsFixture extends VolumeHostFixture {
  readonly source: KeptRunsSide
}

export function keptRunsContract(name: string, make: () => Promise<KeptRunsFixture>): void {
  const contract = (
    title: string,
    body: (side: KeptRunsSide, volume: VolumeId, kept: () => Promise<readonly number[]>) => Promise<void>,
  ) =>
    void test(`${name}: ${title}`, { timeout: TIMEOUT_MS }, async () => {
      const fixture = await make()
      const { source, pool } = fixture
      const volume = randomUUID().replaceAll('-', '') as VolumeId
      try {
        value(await source.volumes.createReplica({ volume, pool, sizeBytes: SIZE }))
        await body(source, volume, async () => value(await source.volumes.inspect(volume, pool)).keptEpochs ?? [])
      } finally {
        await fixture.close()
      }
    })

  const serve = async (side: KeptRunsSide, volume: VolumeId, epoch: number): Promise<ExportClient> => {
    const request = { volume, pool: 'pool', epoch, syncPoint: 'sp', rejoining: false }
    return value(await side.connect(value(await side.volumes.exportToGuest(request))))
  }

  contract('what a run wrote outlives a killed daemon, and the host can say so', async (side, volume, kept) => {
    assert.deepEqual(await kept(), [])
    side.record(volume, { epoch: 3, inSync: true })
    const client = await serve(side, volume, 3)
    value(await client.write(0, Buffer.alloc(BLOCK, 7)))
    assert.deepEqual(await kept(), [3])
    await side.killDaemon()
    await client.close()
    assert.deepEqual(await kept(), [3], 'also while there is no daemon')
    assert.deepEqual(value(await side.volumes.inspect(volume, 'pool')).exports, [])
    await side.startDaemon()
    assert.deepEqual(await kept(), [3])
    side.record(volume, { epoch: 4, inSync: true })
    const next = await serve(side, volume, 4)
    assert.ok(value(await next.read(0, BLOCK)).equals(Buffer.alloc(BLOCK, 7)))
    assert.deepEqual(await kept(), [4], 'the earlier run is over')
    await next.close()
  })

  contract('nothing is known of what was served before a boot', async (side, volume, kept) => {
    side.record(volume, { epoch: 3, inSync: true })
    const client = await serve(side, volume, 3)
    await client.close()
    await side.boot()
    assert.deepEqual(await kept(), [])
    const again = await serve(side, volume, 3)
    assert.deepEqual(await kept(), [3])
    await again.close()
  })

  contract('a live move leaves the run known beside the one that is to come', async (side, volume, kept) => {
    side.record(volume, { epoch: 1, inSync: true })
    const run = await serve(side, volume, 1)
    side.record(volume, { epoch: 1, handoverEpoch: 2, newestEpoch: 2, inSync: true })
    const arriving = await serve(side, volume, 2)
    assert.deepEqual(await kept(), [1, 2])
    for (const client of [run, arriving]) await client.close()
  })

  contract('data of which the daemon alone knows where it lies is not known to be kept', async (side, volume, kept) => {
    side.record(volume, { epoch: 1, inSync: true })
    const client = await serve(side, volume, 1)
    const snapshot = randomUUID().replaceAll('-', '') as SnapshotId
    value(await side.volumes.prepareSnapshot(volume, 'pool', snapshot))
    assert.deepEqual(await kept(), [1], 'nothing is written to the new layer yet')
    value(await side.volumes.cutSnapshot(volume, 'pool', snapshot))
    value(await side.volumes.sealSnapshot(volume, 'pool', snapshot))
    const [held] = value(await side.volumes.heldSnapshots())
    const isLayered = held?.method === 'layers'
    assert.deepEqual(await kept(), isLayered ? [] : [1])
    value(await client.write(0, Buffer.alloc(BLOCK, 7)))
    await client.close()
    await side.killDaemon()
    await side.startDaemon()
    const again = await serve(side, volume, 1)
    assert.deepEqual(await kept(), isLayered ? [] : [1])
    await again.close()
  })
}

function value<T>(result: Result<T>): T {
  assert.ok(result.ok, `unexpected failure: ${JSON.stringify(result, undefined, 1)}`)
  return result.value
}
