/**
 * What stands between a container's disks and their replicas: a QEMU where replicas are served (`ContainerFront`), nothing
 * where the root is a subvolume of this very host (`NoFront`). Those above do not care which it is.
 */
import { failure } from '@stead/core/errors.ts'
import type { GuestDisk } from '@stead/core/ports/guest-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { DiskLegs } from '../qemu/disk-legs.ts'
import type { ContainerFront } from './container-front.ts'
import type { HeldDisk } from './held-disk.ts'

type FrontState = 'inspect' | 'failingHosts' | 'forgetFailures' | 'disks' | 'nbdSocket' | 'exportOf'
type FrontChanges = 'addDisk' | 'removeDisk' | 'removePlace' | 'holdDisk' | 'growDisk'
type FrontEnd = 'quit' | 'kill' | 'dispose'

export interface DiskFront extends Pick<ContainerFront, FrontState | FrontChanges | FrontEnd> {
  readonly legs: Pick<DiskLegs, 'yank' | 'drop' | 'prepare' | 'attach' | 'replace' | 'discard' | 'drainAndFlush'>
}

type DiskState = 'state' | 'requireQuiet' | 'hold' | 'go' | 'reconnect' | 'limit' | 'freeze' | 'thaw'
type DiskSize = 'takeNewSize' | 'growFileSystem'
type DiskEnd = 'letGo' | 'close' | 'kill' | 'dispose'

/** A disk of a container: served by a `stead-disk`, or a folder as it is. */
export type ContainerDisk = Pick<HeldDisk, DiskState | DiskSize | DiskEnd>

export class NoFront implements DiskFront {
  readonly failingHosts = []
  readonly disks = []
  readonly nbdSocket = ''
  readonly legs: DiskFront['legs'] = {
    yank: async () => ok(),
    drop: async () => fail(noLegs()),
    prepare: async () => fail(noLegs()),
    attach: async () => fail(noLegs()),
    replace: async () => fail(noLegs()),
    discard: async () => ok(),
    drainAndFlush: async () => ok(),
  }
  readonly #root: () => GuestDisk

  constructor(root: () => GuestDisk) {
    this.#root = root
  }

  async inspect(): Promise<Result<readonly GuestDisk[]>> {
    return ok([this.#root()])
  }

  exportOf(): Result<string> {
    return fail(noLegs())
  }

  async addDisk(): Promise<Result<void>> {
    return fail(
      failure('conflict', 'a container whose root is a subvolume takes no further disks', {
        hint: 'Make its root larger, or make a container with mirrored disks',
      }),
    )
  }

  async removeDisk(): Promise<Result<{ readonly flushed: boolean }>> {
    return ok({ flushed: true })
  }

  async removePlace(): Promise<Result<void>> {
    return ok()
  }

  /** Nothing holds a subvolume: its limit changes under the hands of those who write. */
  async holdDisk(): Promise<Result<void>> {
    return ok()
  }

  async growDisk(): Promise<Result<void>> {
    return ok()
  }

  async quit(): Promise<{ readonly flushed: boolean }> {
    return { flushed: true }
  }

  async kill(): Promise<Result<void>> {
    return ok()
  }

  forgetFailures(): void {}

  dispose(): void {}
}

function noLegs() {
  return failure('conflict', 'The root of the container is a subvolume, which has no legs')
}
