/** Images of uploads, and disks as files, joined to this host: who makes them, who has copies, and what other hosts may ask of this one. */
import { join } from 'node:path'
import type { HostContext } from '@stead/core/host/host-context.ts'
import type { BlobId, HostId } from '@stead/core/model/ids.ts'
import { ok, type Result } from '@stead/core/result.ts'
import type { BlobStore } from './blobs/blob-store.ts'
import type { AgentConfig } from './config.ts'
import { copyMaking, type CopyMakingContext } from './images/copy-making.ts'
import { ImageCopies, namedByOthers, type ForgetOrder } from './images/image-copies.ts'
import { ImageImporter } from './images/image-import.ts'
import { importMaking } from './images/import-making.ts'
import { MakingWorker } from './images/making-worker.ts'
import type { Peers } from './peers.ts'

/** Images are large; small files are there at once. */
const SPREAD_TIMEOUT_MS = 20 * 60_000

export interface ImageImportsOptions extends Pick<
  HostContext,
  'self' | 'store' | 'mirror' | 'clock' | 'events' | 'log'
> {
  readonly config: AgentConfig
  readonly blobs: BlobStore
  readonly peers: Peers
}

export function imageImports({ config, blobs, peers, ...context }: ImageImportsOptions) {
  const { mirror, log, self } = context
  const importer = new ImageImporter({
    workFolder: join(config.stateDir, 'imports'),
    keep: (path, blob) => blobs.take(path, blob),
    ...(config.guestUser ? { user: config.guestUser } : {}),
  })
  const fetchOn = (host: HostId, digests: readonly BlobId[]) =>
    peers.client(host).callGuest('fetch-blobs', digests, SPREAD_TIMEOUT_MS) as Promise<Result<unknown>>
  const copies = new ImageCopies({
    ...{ self, log, fetchOn, state: () => mirror.state, online: () => peers.online() },
    forgetOn: (host, order) => peers.client(host).callGuest('forget-blobs', order),
  })
  return {
    /** Removes what an agent left that died in the middle. */
    clean: () => importer.clean(),
    /** Does what the records ask of this host, until aborted. */
    work: async (captureDisk: CopyMakingContext['captureDisk'], signal: AbortSignal) => {
      const shared = { ...context, blobs, copies }
      const isUp = (host: HostId) => host === self || peers.online().includes(host)
      await Promise.all([
        new MakingWorker(shared, importMaking({ ...shared, importer })).run(signal),
        new MakingWorker(shared, copyMaking({ ...shared, captureDisk, isUp })).run(signal),
      ])
    },
    /** Has all hosts that are up and run guests fetch these files, so that a failover finds them. */
    spreadBlobs: async (digests: readonly BlobId[]) => {
      const others = peers.online().filter((host) => mirror.state.hosts.get(host)?.value.role === 'compute')
      await Promise.all(others.map((host) => fetchOn(host, digests)))
    },
    calls: {
      'fetch-blobs': async (input: unknown) => {
        const digests = Array.isArray(input) ? (input as BlobId[]) : []
        const fetched = await Promise.all(digests.map((digest) => blobs.ensure(digest)))
        return fetched.find((result) => !result.ok) ?? ok()
      },
      'forget-blobs': async (input: unknown) => {
        const { blobs: digests, id } = input as ForgetOrder
        const named = mirror.loaded ? namedByOthers(mirror.state, id) : new Set(digests)
        for (const digest of digests) if (!named.has(digest)) await blobs.remove(digest)
        return ok()
      },
    },
  }
}
