import type { GuestMemory, ImagePlace } from '@stead/core/ports/guest-memory.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import { guestMemoryContract, type GuestMemoryHarness } from './contract/guest-memory-contract.ts'
import type { HostName } from './contract/guest-migration-contract.ts'
import { MemoryGuestMemory } from './memory-guest-memory.ts'
import { memoryMigrationHarness } from './memory-migration-fixture.ts'
import type { Kept } from './memory-snapshots.ts'

guestMemoryContract('in memory', async (): Promise<GuestMemoryHarness> => {
  const migration = await memoryMigrationHarness()
  const all = new Map<string, Kept>()
  const keyOf = ({ host, volume }: ImagePlace, snapshot: SnapshotId) => `${host} ${volume} ${snapshot}`
  const memoryOn = (host: HostName): GuestMemory =>
    new MemoryGuestMemory({
      machine: migration.machines[host],
      kept: (place, snapshot) => all.get(keyOf(place, snapshot)),
    })
  return Object.assign(migration, {
    memory: { here: memoryOn('here'), there: memoryOn('there') },
    places: async ({ disks: [disk] }: Parameters<GuestMemoryHarness['places']>[0], snapshot: SnapshotId) => {
      const places = (['here', 'there'] as const).map((host) => ({
        host: host as string as HostId,
        volume: disk!.volume,
        pool: 'p',
      }))
      for (const place of places) all.set(keyOf(place, snapshot), { snapshot, sealed: false })
      return places
    },
    damage: async (place: ImagePlace, snapshot: SnapshotId) => {
      const memory = all.get(keyOf(place, snapshot))?.memory
      if (memory) memory.isDamaged = true
    },
  })
})
