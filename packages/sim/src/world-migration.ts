/** QEMU's migration as a simulated host has it: the waiting QEMU takes its time to start, and the RAN carries the memory. */
import { failure } from '@stead/core/errors.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import type { GuestLaunch } from '@stead/core/ports/guest-host.ts'
import type { ArrivalEndpoint, GuestMigration } from '@stead/core/ports/guest-migration.ts'
import { fail, type Result } from '@stead/core/result.ts'
import type { GuestFaults, MoveStep } from './guest-faults.ts'
import { MemoryGuestMigration, type WaitingPlaces } from './memory-guest-migration.ts'
import type { MemoryMachine } from './memory-machine.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { VirtualClock } from './virtual-clock.ts'
import type { WorldGuardian } from './world-guardian.ts'
import { QEMU_START_MS_MIN, QEMU_START_MS_SPREAD } from './world-guests.ts'
import type { WorldNetwork } from './world-network.ts'

export interface WorldMigrationOptions {
  readonly host: HostId
  readonly machine: MemoryMachine
  readonly guardian: WorldGuardian
  readonly guestFaults: GuestFaults
  readonly clock: VirtualClock
  readonly random: SeededRandom
  readonly network: WorldNetwork
  readonly places: WaitingPlaces
}

export class WorldMigration extends MemoryGuestMigration {
  readonly #options: WorldMigrationOptions

  constructor(options: WorldMigrationOptions) {
    const { host, machine, places, clock, network, guestFaults } = options
    const routes = {
      after: (ms: number, run: () => void) => clock.after(ms, run),
      linked: (from: string, to: string) => network.linked(from as HostId, to as HostId, 'ran'),
      runs: (at: string) => network.presence(at as HostId) === 'on',
      fails: (step: MoveStep, guest: GuestId, at: string) => guestFaults.take(step, guest, at as HostId),
    }
    super({ host, machine, places, routes })
    this.#options = options
  }

  override async receive(
    launch: GuestLaunch,
    at: Parameters<GuestMigration['receive']>[1],
  ): Promise<Result<ArrivalEndpoint>> {
    const { host, guardian, guestFaults, clock, random } = this.#options
    await clock.sleep(QEMU_START_MS_MIN + QEMU_START_MS_SPREAD * random.fraction())
    if (!guardian.hasNamespace) return fail(failure('hypervisor', 'The deadman does not run'))
    if (guestFaults.take('start', launch.guest, host)) return fail(failure('hypervisor', 'QEMU ended at once'))
    return super.receive(launch, at)
  }
}
