/** Images of memories as a simulated host makes them: they take their time, and the SAN carries them to other hosts. */
import type { HostId } from '@stead/core/model/ids.ts'
import { failure } from '@stead/core/errors.ts'
import type { RunningGuest } from '@stead/core/ports/guest-host.ts'
import type { GuestMemory } from '@stead/core/ports/guest-memory.ts'
import { fail, type Result } from '@stead/core/result.ts'
import type { GuestFaults } from './guest-faults.ts'
import { MemoryGuestMemory } from './memory-guest-memory.ts'
import type { MemoryMachine } from './memory-machine.ts'
import type { MemoryVolumeHost } from './memory-volume-host.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { VirtualClock } from './virtual-clock.ts'
import type { WorldGuardian } from './world-guardian.ts'
import { QEMU_START_MS_MIN, QEMU_START_MS_SPREAD } from './world-guests.ts'
import type { WorldNetwork } from './world-network.ts'

/** Of a small guest. */
const COPY_MS_MAX = 60

export interface WorldMemoryOptions {
  readonly host: HostId
  readonly guardian: WorldGuardian
  readonly guestFaults: GuestFaults
  readonly machine: MemoryMachine
  readonly clock: VirtualClock
  readonly random: SeededRandom
  readonly network: WorldNetwork
  readonly volumesOn: (host: HostId) => MemoryVolumeHost
}

export class WorldMemory extends MemoryGuestMemory {
  readonly #options: WorldMemoryOptions

  constructor(options: WorldMemoryOptions) {
    const { host, machine, clock, random, network, volumesOn } = options
    super({
      machine,
      copying: () => clock.sleep(COPY_MS_MAX * random.fraction()),
      kept: ({ host: to, volume, pool }, snapshot) =>
        to === host || network.linked(host, to, 'san') ? volumesOn(to).keptOf(volume, pool, snapshot) : undefined,
    })
    this.#options = options
  }

  override async restore(...given: Parameters<GuestMemory['restore']>): Promise<Result<RunningGuest>> {
    const { host, guardian, guestFaults, clock, random } = this.#options
    await clock.sleep(QEMU_START_MS_MIN + QEMU_START_MS_SPREAD * random.fraction())
    if (!guardian.hasNamespace) return fail(failure('hypervisor', 'The deadman does not run'))
    if (guestFaults.take('start', given[0].guest, host)) return fail(failure('hypervisor', 'QEMU ended at once'))
    return super.restore(...given)
  }
}
