import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import { guestAgentContract } from './contract/guest-agent-contract.ts'
import { must } from './contract/guest-host-contract.ts'
import { MemoryGuestAgent } from './memory-guest-agent.ts'
import { MemoryMachine } from './memory-machine.ts'
import { MemoryStorageServers } from './memory-storage-servers.ts'

const GUEST = 'g1' as GuestId
const SILENT = 'g2' as GuestId
const VOLUME = 'v1' as VolumeId

const clock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      timer.unref()
      signal?.addEventListener('abort', () => resolve(clearTimeout(timer)))
    }),
}

function machineWithGuests(): MemoryMachine {
  const servers = new MemoryStorageServers()
  servers.set('a', 'up')
  const machine = new MemoryMachine(servers)
  const leg = { host: 'a', endpoint: { kind: 'unix', path: '/a' } as const, exportName: 'vol-v1-e1' }
  for (const guest of [GUEST, SILENT]) {
    const disks = [{ volume: VOLUME, sizeBytes: 1 << 20, width: 1, legs: [leg] }]
    const launch = { guest, name: guest, epoch: 1, memoryBytes: 1, cpus: 1, boot: { kind: 'disk' } as const }
    must(machine.spawn({ ...launch, disks, nics: [], accelerator: 'tcg' }))
  }
  return machine
}

const agentOf = (machine: MemoryMachine) =>
  new MemoryGuestAgent({ machine, clock, isWithout: (guest) => guest === SILENT })

guestAgentContract('in memory', async () => {
  const machine = machineWithGuests()
  return {
    agent: agentOf(machine),
    guest: GUEST,
    silentGuest: SILENT,
    restartAgent: async () => agentOf(machine),
    close: async () => undefined,
  }
})

it('a frozen guest writes nothing until it is thawed', async () => {
  const machine = machineWithGuests()
  const agent = agentOf(machine)
  must(await agent.freeze(GUEST, 60_000))
  const before = machine.acknowledged(GUEST, VOLUME)
  machine.runGuests()
  assert.equal(machine.acknowledged(GUEST, VOLUME), before)
  must(await agent.thaw(GUEST))
  assert.ok(machine.acknowledged(GUEST, VOLUME) > before)
})
