import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import { must } from './contract/guest-host-contract.ts'
import { hostMetersContract, type HostMetersHarness } from './contract/host-meters-contract.ts'
import { MemoryHostMeters } from './memory-host-meters.ts'
import { MemoryMachine } from './memory-machine.ts'
import { MemoryStorageServers } from './memory-storage-servers.ts'

hostMetersContract('in memory', async (): Promise<HostMetersHarness> => {
  const servers = new MemoryStorageServers()
  servers.set('a', 'up')
  const machine = new MemoryMachine(servers)
  let nowMs = 1_000
  const leg = (guest: GuestId) => ({
    ...{ host: 'a', endpoint: { kind: 'unix', path: '/a' } as const, exportName: `vol-${guest}-e1` },
  })
  return {
    meters: new MemoryHostMeters({
      ...{ guests: machine, pools: ['default'], poolOf: () => 'default', monotonicMs: () => nowMs },
    }),
    start: async (guest) => {
      const disk = { volume: 'v1' as VolumeId, sizeBytes: 1 << 20, width: 1, legs: [leg(guest)] }
      must(
        machine.spawn({
          ...{ guest, name: guest, epoch: 1, memoryBytes: 1 << 30, cpus: 2, boot: { kind: 'disk' } },
          ...{ disks: [disk], nics: [], accelerator: 'tcg' },
        }),
      )
    },
    stop: async (guest) => machine.crash(guest, 'stopped'),
    pass: async () => {
      nowMs += 2_000
    },
    close: async () => machine.powerOff(),
  }
})
