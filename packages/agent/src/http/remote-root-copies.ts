/** What another host holds of native roots, over its internal server. */
import type { Readable } from 'node:stream'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { CopyOrder, RootCopies } from '@stead/core/ports/root-copies.ts'
import type { Result } from '@stead/core/result.ts'
import type { SendOrder, SubvolumeCopies } from '../subvolumes/subvolume-copies.ts'
import type { HostClient } from './host-client.ts'

/** All of a root may be on its way; who asked looks itself whether the host is still there. */
const RECEIVE_MS_MAX = 24 * 3_600_000
/** What is deleted may be much. */
const CHANGE_MS_MAX = 120_000

export function remoteRootCopies(client: HostClient): RootCopies {
  const call = async <T>(name: string, input: unknown, limitMs?: number) =>
    (await client.callGuest(`root-copies-${name}`, input, limitMs)) as Result<T>
  return {
    held: (volume, pool) => call('held', { volume, pool }),
    receive: (order) => call('receive', order, RECEIVE_MS_MAX),
    keepOnly: (volume, pool, kept) => call('keep-only', { volume, pool, kept }, CHANGE_MS_MAX),
  }
}

export function openRemoteSend(client: HostClient, order: SendOrder, signal: AbortSignal): Promise<Result<Readable>> {
  return client.stream('root-copy', order, signal)
}

/** What this host offers of its own to the others. */
export function rootCopyService(own: SubvolumeCopies) {
  interface Named {
    readonly volume: VolumeId
    readonly pool: string
  }
  return {
    calls: {
      'root-copies-held': (input: unknown) => own.held((input as Named).volume, (input as Named).pool),
      'root-copies-receive': (input: unknown) => own.receive(input as CopyOrder),
      'root-copies-keep-only': (input: unknown) => {
        const { volume, pool, kept } = input as Named & { readonly kept: readonly number[] }
        return own.keepOnly(volume, pool, kept)
      },
    },
    streams: {
      'root-copy': (input: unknown, signal: AbortSignal) => own.send(input as SendOrder, signal),
    },
  }
}
