import assert from 'node:assert/strict'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type { GuestLaunch } from '@stead/core/ports/guest-host.ts'
import { guestHostContract, type GuestHostHarness, type ServerName } from './contract/guest-host-contract.ts'
import { MemoryGuestHost } from './memory-guest-host.ts'
import { MemoryMachine } from './memory-machine.ts'
import { MemoryStorageServers } from './memory-storage-servers.ts'

guestHostContract('in memory', async (): Promise<GuestHostHarness> => {
  const servers = new MemoryStorageServers()
  const machine = new MemoryMachine(servers)
  servers.set('a', 'up')
  servers.set('b', 'up')
  let guests = 0
  const leg = (launch: { readonly guest: GuestId }, host: ServerName) => ({
    host,
    endpoint:
      host === 'a' ? ({ kind: 'unix', path: '/a' } as const) : ({ kind: 'tcp', address: 'b', port: 10809 } as const),
    exportName: `vol-${launch.guest}-e1`,
  })
  return {
    host: new MemoryGuestHost(machine),
    leg,
    disk: async (slot) => {
      const owner = { guest: `d${++guests}` as GuestId }
      return {
        volume: `v${guests}` as VolumeId,
        sizeBytes: 1 << 20,
        width: 2,
        legs: (['a', 'b'] as const).map((host) => leg(owner, host)),
        slot,
      }
    },
    guest: async (behaviour, hosts = ['a', 'b']) => {
      const guest = `g${++guests}` as GuestId
      machine.behave(guest, behaviour)
      const disk = {
        volume: `v${guests}` as VolumeId,
        sizeBytes: 1 << 20,
        width: 2,
        legs: hosts.map((host) => leg({ guest }, host)),
      }
      return {
        guest,
        name: guest,
        epoch: 1,
        memoryBytes: 1,
        cpus: 1,
        boot: { kind: 'disk' },
        disks: [disk],
        nics: [],
        accelerator: 'tcg',
      }
    },
    serveLarger: async (launch) => servers.endExport(`vol-${launch.guest}-e1`),
    killServer: async (server) => servers.set(server, 'down'),
    freezeServer: async (server) => servers.set(server, 'frozen'),
    startServer: async (server) => servers.set(server, 'up'),
    untilWriting: async (launch: GuestLaunch) => {
      const volume = launch.disks[0]?.volume as VolumeId
      const before = machine.acknowledged(launch.guest, volume)
      machine.runGuests()
      assert.ok(machine.acknowledged(launch.guest, volume) > before, 'the guest does not write')
    },
    crash: async (running) => machine.crash(running.guest),
    restartAgent: async () => new MemoryGuestHost(machine),
    close: async () => undefined,
  }
})
