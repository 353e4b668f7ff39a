/** What a subvolume is refused for, in the same words everywhere. */
import { failure, type Failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { PoolConfig } from '../storage/storage-daemon.ts'

export function noRoot(volume: VolumeId): Failure {
  return failure('not_found', `This host has no subvolume of volume ${volume}`)
}

export function holdsMore(volume: VolumeId, heldBytes: number): Failure {
  return failure('conflict', `Volume ${volume} holds ${heldBytes} bytes`, {
    hint: 'Delete something in the container first, or take a larger size',
  })
}

export function noBlocks(): Failure {
  return failure('conflict', 'The volume is a subvolume of one host, which has no blocks that another one could copy')
}

export function noSubvolumes({ name }: PoolConfig): Failure {
  return failure('storage', `Pool ${name} is not on btrfs, or the program btrfs is missing`, {
    hint: 'Make a file system with mkfs.btrfs, mount it where the pool is, and install btrfs-progs',
  })
}
