/** QEMU as a simulated host has it: it takes its time to start, and needs the namespace in which guests live. */
import { failure } from '@stead/core/errors.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import type { GuestLaunch, RunningGuest } from '@stead/core/ports/guest-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { GuestFaults } from './guest-faults.ts'
import { MemoryGuestHost } from './memory-guest-host.ts'
import type { MemoryMachine } from './memory-machine.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { VirtualClock } from './virtual-clock.ts'
import type { WorldGuardian } from './world-guardian.ts'

export const QEMU_START_MS_MIN = 50
export const QEMU_START_MS_SPREAD = 150

export interface WorldGuestsOptions {
  readonly host: HostId
  readonly machine: MemoryMachine
  readonly guardian: WorldGuardian
  readonly guestFaults: GuestFaults
  readonly clock: VirtualClock
  readonly random: SeededRandom
}

export class WorldGuests extends MemoryGuestHost {
  readonly #options: WorldGuestsOptions

  constructor(options: WorldGuestsOptions) {
    super(options.machine)
    this.#options = options
  }

  override async start(launch: GuestLaunch): Promise<Result<RunningGuest>> {
    const { host, guardian, guestFaults, clock, random } = this.#options
    await clock.sleep(QEMU_START_MS_MIN + QEMU_START_MS_SPREAD * random.fraction())
    if (!guardian.hasNamespace) return fail(failure('hypervisor', 'The deadman does not run'))
    if (guestFaults.take('start', launch.guest, host)) return fail(failure('hypervisor', 'QEMU ended at once'))
    return super.start(launch)
  }

  override async requestShutdown(guest: GuestId): Promise<Result<void>> {
    return this.#options.guestFaults.isDeaf(guest) ? ok() : super.requestShutdown(guest)
  }
}
