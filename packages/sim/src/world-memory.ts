/** Images of memories as a simulated host makes them: they take their time, and the SAN carries them to other hosts. */
import type { HostId } from '@stead/core/model/ids.ts'
import { MemoryGuestMemory } from './memory-guest-memory.ts'
import type { MemoryMachine } from './memory-machine.ts'
import type { MemoryVolumeHost } from './memory-volume-host.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { VirtualClock } from './virtual-clock.ts'
import type { WorldNetwork } from './world-network.ts'

/** Of a small guest. */
const COPY_MS_MAX = 60

export interface WorldMemoryOptions {
  readonly host: HostId
  readonly machine: MemoryMachine
  readonly clock: VirtualClock
  readonly random: SeededRandom
  readonly network: WorldNetwork
  readonly volumesOn: (host: HostId) => MemoryVolumeHost
}

export class WorldMemory extends MemoryGuestMemory {
  constructor({ host, machine, clock, random, network, volumesOn }: WorldMemoryOptions) {
    super({
      machine,
      copying: () => clock.sleep(COPY_MS_MAX * random.fraction()),
      kept: ({ host: to, volume, pool }, snapshot) =>
        to === host || network.linked(host, to, 'san') ? volumesOn(to).keptOf(volume, pool, snapshot) : undefined,
    })
  }
}
