import assert from 'node:assert/strict'
import type { GuestKind } from '@stead/core/model/guest.ts'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type { GuestLaunch } from '@stead/core/ports/guest-host.ts'
import { type GuestMigrationHarness, type HostName, type MigrationHost } from './contract/guest-migration-contract.ts'
import type { MoveStep } from './guest-faults.ts'
import { MemoryGuestHost } from './memory-guest-host.ts'
import { MemoryGuestMigration, WaitingPlaces } from './memory-guest-migration.ts'
import { MemoryMachine } from './memory-machine.ts'
import { MemoryStorageServers } from './memory-storage-servers.ts'

const SERVERS = ['a', 'b'] as const
/** Little enough that a copy at full speed takes one step. */
const MEMORY_BYTES = 1 << 20

const CONTAINER: Pick<GuestLaunch, 'boot' | 'container'> = {
  boot: { kind: 'container' },
  container: {
    ...{ system: { haltSignal: 'SIGUSR1' }, idBase: 1_000_000, nesting: false, hostname: 'ct' },
    ...{ nameservers: [], searchDomains: [], mounts: [], limits: {} },
  },
}

export interface MemoryMigrationHarness extends GuestMigrationHarness {
  readonly machines: Readonly<Record<HostName, MemoryMachine>>
}

/** Two hosts in memory, whose guests' disks are on the same storage. */
export async function memoryMigrationHarness(kind: GuestKind = 'vm'): Promise<MemoryMigrationHarness> {
  const servers = new MemoryStorageServers()
  for (const server of SERVERS) servers.set(server, 'up')
  const boots: Record<HostName, Map<GuestId, number>> = { here: new Map(), there: new Map() }
  const newMachine = (host: HostName) =>
    new MemoryMachine(servers, {
      onStart: ({ launch, waiting, cameOver }) => {
        if (!waiting && !cameOver) boots[host].set(launch.guest, (boots[host].get(launch.guest) ?? 0) + 1)
      },
    })
  const machines: Record<HostName, MemoryMachine> = { here: newMachine('here'), there: newMachine('there') }
  const places = new WaitingPlaces()
  const timers = new Set<NodeJS.Timeout>()
  const failing = new Set<MoveStep>()
  const routes = {
    after: (ms: number, run: () => void) => {
      const timer = setTimeout(run, ms)
      timers.add(timer)
      return () => clearTimeout(timer)
    },
    linked: () => true,
    runs: () => true,
    fails: (step: MoveStep) => failing.delete(step),
  }
  const newHost = (host: HostName): MigrationHost => ({
    address: '127.0.0.1',
    guests: new MemoryGuestHost(machines[host]),
    migration: new MemoryGuestMigration({ host, machine: machines[host], places, routes }),
  })
  const hosts: Record<HostName, MigrationHost> = { here: newHost('here'), there: newHost('there') }
  const at = (launch: GuestLaunch, epoch: number): GuestLaunch => {
    const volume = volumeOf(launch)
    const legs = SERVERS.map((host) => ({
      ...{ host, endpoint: { kind: 'tcp', address: host, port: 10809 } as const },
      exportName: `vol-${volume}-e${epoch}`,
    }))
    return { ...launch, epoch, disks: [{ volume, sizeBytes: 1 << 20, width: 2, legs }] }
  }
  let guests = 0
  return {
    hosts,
    machines,
    knowsPostCopy: kind === 'vm',
    runsWhileCopied: kind === 'vm',
    outlivesAgents: kind === 'vm',
    ...(kind === 'ct' ? { failNext: (step: MoveStep) => void failing.add(step) } : {}),
    guest: async () => {
      const guest = `g${++guests}` as GuestId
      const disk = { volume: `v${guests}` as VolumeId, sizeBytes: 1 << 20, width: 2, legs: [] }
      return at(
        {
          ...{ guest, name: guest, epoch: 1, memoryBytes: MEMORY_BYTES, cpus: 1, boot: { kind: 'disk' }, nics: [] },
          ...{ disks: [disk], accelerator: 'tcg' },
          ...(kind === 'ct' ? CONTAINER : {}),
        },
        1,
      )
    },
    open: async (launch, epoch) => at(launch, epoch),
    closeBelow: async (launch, epoch) => {
      for (let old = 1; old < epoch; old++) servers.endExport(`vol-${volumeOf(launch)}-e${old}`)
    },
    untilWriting: async (host, launch) => {
      const volume = volumeOf(launch)
      const before = machines[host].acknowledged(launch.guest, volume)
      machines[host].runGuests()
      assert.ok(machines[host].acknowledged(launch.guest, volume) > before, `the guest does not write ${host}`)
    },
    written: (launch) => Math.min(...SERVERS.map((server) => servers.lastWriteOn(server, volumeOf(launch)))),
    boots: (host, launch) => boots[host].get(launch.guest) ?? 0,
    crash: async (host, running) => machines[host].crash(running.guest),
    restartAgent: async (host) => void (hosts[host] = newHost(host)),
    close: async () => timers.forEach(clearTimeout),
  }
}

function volumeOf(launch: GuestLaunch): VolumeId {
  const disk = launch.disks[0]
  assert.ok(disk)
  return disk.volume
}
