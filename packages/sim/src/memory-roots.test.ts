import { replicaGrantOf } from '@stead/core/ha/export-gate.ts'
import type { Grant } from '@stead/core/model/grant.ts'
import type { HostId, VolumeId } from '@stead/core/model/ids.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import { ok } from '@stead/core/result.ts'
import { rootCopiesContract, type RootCopiesFixture, type RootSide } from './contract/root-copies-contract.ts'
import { MemoryRoots } from './memory-roots.ts'

const POOL = 'pool'
const PLACE_BYTES = 4 * 2 ** 20

rootCopiesContract('MemoryRoots', async (): Promise<RootCopiesFixture> => {
  let record: Volume | undefined
  let grant: Grant | undefined
  let isBreaking = false
  const made = new Map<HostId, MemoryRoots>()
  const side = (id: string): RootSide => {
    const host = id as HostId
    const roots = new MemoryRoots({
      ...{ host, pools: [POOL], capacityBytes: 2 ** 30, copyTarget: () => undefined, digest: async () => '' },
      readEpoch: async (_, pool) => ok(replicaGrantOf(grant, record!, host, pool)),
      readVolume: async () => ok(record),
      rootsOf: (other) => made.get(other),
      carry: async () => !isBreaking || (isBreaking = false),
    })
    made.set(host, roots)
    const at = (place: number) => place * PLACE_BYTES
    return {
      ...{ host, roots, volumes: roots },
      write: async (volume, place, text) => {
        const bytes = new Uint8Array(PLACE_BYTES)
        bytes.set(Buffer.from(text))
        roots.contentOf(volume, POOL)?.write(at(place), bytes)
      },
      read: async (volume: VolumeId, place) => {
        const bytes = roots.contentOf(volume, POOL)?.slice(at(place), at(place + 1)) ?? new Uint8Array()
        return Buffer.from(bytes).toString().replace(/\0+$/, '')
      },
    }
  }
  return {
    ...{ pool: POOL, home: side('h1'), away: side('h2') },
    record: (volume, epoch) => {
      record = volume
      const host = volume.replicas[0]!.host
      grant = { guest: volume.guest, epoch, host, state: 'held', clean: false, grantedAt: 0, reason: '' }
    },
    leaveUnfinished: async ({ host }, volume) => made.get(host)!.leaveUnfinished(volume, POOL),
    breakNext: () => (isBreaking = true),
    close: async () => undefined,
  }
})
