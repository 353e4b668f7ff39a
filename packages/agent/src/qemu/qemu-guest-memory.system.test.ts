/** The contract on real QEMU, whose images lie in two pools. */
import { mkdirSync, openSync, writeSync, closeSync, chmodSync } from 'node:fs'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import type { GuestLaunch } from '@stead/core/ports/guest-host.ts'
import type { GuestMemory, ImagePlace } from '@stead/core/ports/guest-memory.ts'
import { fail } from '@stead/core/result.ts'
import { guestMemoryContract, type GuestMemoryHarness } from '@stead/sim/contract/guest-memory-contract.ts'
import type { HostName } from '@stead/sim/contract/guest-migration-contract.ts'
import { KeyedLock } from '../storage/keyed-lock.ts'
import { MemoryImages } from '../storage/memory-images.ts'
import { GUEST_USER, RealHarness, started } from './migration-fixture.ts'
import { QemuGuestMemory, type ImagePlaces } from './qemu-guest-memory.ts'

const POOL_BYTES = 2 ** 30
const HOSTS = ['a', 'b'] as const

class RealMemoryHarness extends RealHarness implements GuestMemoryHarness {
  readonly #images: ReadonlyMap<string, MemoryImages>
  #memory: Record<HostName, GuestMemory>

  constructor() {
    super()
    this.#images = new Map(
      HOSTS.map((host) => {
        mkdirSync(this.#pool(host))
        const pool = { name: 'p', path: this.#pool(host), capacityBytes: POOL_BYTES, port: 0 }
        return [host, new MemoryImages([pool], new KeyedLock())]
      }),
    )
    this.#memory = { here: this.#memoryOf('here'), there: this.#memoryOf('there') }
  }

  get memory(): Readonly<Record<HostName, GuestMemory>> {
    return this.#memory
  }

  override async restartAgent(host: HostName): Promise<void> {
    // What the dead one had open is closed by the kernel.
    const [guest] = await this.qemu[host].adopt()
    const open = this.#memory[host] as QemuGuestMemory
    await super.restartAgent(host)
    if (guest) open.close()
    this.#memory[host] = this.#memoryOf(host)
  }

  async places({ disks: [disk] }: GuestLaunch): Promise<readonly ImagePlace[]> {
    return HOSTS.map((host) => ({ host: host as string as HostId, volume: disk!.volume, pool: 'p' }))
  }

  async damage({ host, volume }: ImagePlace, snapshot: SnapshotId): Promise<void> {
    const path = join(this.#pool(host), `${volume}.memory-${snapshot}`)
    chmodSync(path, 0o600)
    const file = openSync(path, 'r+')
    writeSync(file, 'damage', 100_000)
    closeSync(file)
  }

  #pool(host: string): string {
    return join(this.folder, `pool-${host}`)
  }

  #memoryOf(host: HostName): QemuGuestMemory {
    const at = ({ host: name }: ImagePlace) => this.#images.get(name)
    const absent = () => Promise.resolve(fail(failure('host_unreachable', 'There is no such host')))
    const places: ImagePlaces = {
      create: (place, snapshot, bytesMax) => at(place)?.create({ ...place, snapshot }, bytesMax) ?? absent(),
      seal: (place, snapshot, content) => at(place)?.seal({ ...place, snapshot }, content) ?? absent(),
      open: (place, snapshot) => at(place)?.open({ ...place, snapshot }) ?? absent(),
    }
    const { processes } = this.qemu[host]
    return new QemuGuestMemory({ processes, places, ...(GUEST_USER ? { user: GUEST_USER } : {}) })
  }
}

guestMemoryContract('QEMU', () => started(new RealMemoryHarness()))
