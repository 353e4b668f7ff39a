import { createHash } from 'node:crypto'
import { failure } from '@stead/core/errors.ts'
import type { BlobId, VolumeId } from '@stead/core/model/ids.ts'
import { fail, ok } from '@stead/core/result.ts'
import { keptRunsContract, type KeptRunsSide } from './contract/kept-runs-contract.ts'
import { replicaSnapshotsContract } from './contract/replica-snapshots-contract.ts'
import { volumeHostContract, type RecordedState } from './contract/volume-host-contract.ts'
import { MemoryVolumeHost, type CopyTarget } from './memory-volume-host.ts'

const POOL = 'pool'
const CAPACITY_BYTES = 2 ** 30

const makeFixture = async () => {
  const blobs = new Map<BlobId, Uint8Array>()
  const hosts = new Map<string, MemoryVolumeHost>()
  const copyTarget = (host: string): CopyTarget | undefined => {
    const volumes = hosts.get(host)
    return (
      volumes && {
        instanceOf: (...request) => volumes.instanceOf(...request),
        write: async (...request) => volumes.writeBlockThrough(...request),
        read: async (volume, pool, block) => ok(volumes.contentOf(volume, pool)?.block(block) ?? new Uint8Array()),
        flush: async (...request) => volumes.flushThrough(...request),
      }
    )
  }
  const make = (host: string): KeptRunsSide => {
    const records = new Map<VolumeId, RecordedState>()
    const volumes = new MemoryVolumeHost({
      host,
      pools: [POOL],
      capacityBytes: CAPACITY_BYTES,
      readEpoch: async (volume) => {
        const record = records.get(volume)
        return record ? ok(record) : fail(failure('not_found', `No record of ${volume}`))
      },
      readRollBack: async (volume) => ok(records.get(volume)?.rollBackTo),
      copyTarget,
      blob: (id) => blobs.get(id),
      digest: async (bytes) => createHash('sha256').update(bytes).digest('base64'),
    })
    hosts.set(host, volumes)
    return {
      host,
      volumes,
      address: '127.0.0.1',
      killDaemon: async () => void volumes.loseDaemon(() => true),
      startDaemon: async () => undefined,
      boot: async () => volumes.losePower(() => true),
      record: (volume, granted) => records.set(volume, granted),
      connect: async ({ exportName }) => {
        const volume = (exportName.split('-')[1] ?? '') as VolumeId
        const instance = volumes.exportInstance(volume, POOL, exportName)
        const isOver = () => volumes.exportInstance(volume, POOL, exportName) !== instance
        const over = fail(failure('storage', 'The export that it was made to is gone'))
        return ok({
          read: async (offset, length) => {
            if (isOver()) return over
            const read = volumes.readThrough(volume, POOL, exportName, { offset, length })
            return read.ok ? ok(Buffer.from(read.value)) : read
          },
          write: async (offset, data) =>
            isOver() ? over : volumes.writeThrough(volume, POOL, exportName, offset, data),
          flush: async () => ok(),
          close: async () => undefined,
        })
      },
    }
  }
  const addBlob = async (content: Buffer) => {
    const id = `blob-${blobs.size}` as BlobId
    blobs.set(id, content)
    return id
  }
  return {
    pool: POOL,
    source: make('a'),
    target: make('b'),
    tooLargeBytes: CAPACITY_BYTES * 2,
    addBlob,
    close: async () => undefined,
  }
}

volumeHostContract('MemoryVolumeHost', makeFixture)
replicaSnapshotsContract('MemoryVolumeHost', makeFixture)
keptRunsContract('MemoryVolumeHost', makeFixture)
