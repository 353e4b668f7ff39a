/** The images of guests' memories on all hosts: this one's own pools, the others' over their internal servers. */
import { Duplex, type Writable } from 'node:stream'
import type { HostId } from '@stead/core/model/ids.ts'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import type { ImagePlace } from '@stead/core/ports/guest-memory.ts'
import { ok, type Result } from '@stead/core/result.ts'
import type { ImagePlaces } from '../qemu/qemu-guest-memory.ts'
import type { ImageContent, ImageName, MemoryImages } from '../storage/memory-images.ts'
import type { HostClient } from './host-client.ts'

/** Hundreds of megabytes are made to last. */
const SEAL_MS_MAX = 120_000
/** The bytes of a large image; the reader's own patience ends one that does not move. */
const READ_MS_MAX = 3_600_000

export function imagesOfAllHosts(options: {
  readonly self: HostId
  readonly own: MemoryImages
  readonly client: (host: HostId) => HostClient
}): ImagePlaces {
  const { self, own, client } = options
  const nameOf = ({ volume, pool }: ImagePlace, snapshot: SnapshotId): ImageName => ({ volume, pool, snapshot })
  return {
    create: async (place, snapshot, bytesMax): Promise<Result<Writable>> => {
      const name = nameOf(place, snapshot)
      if (place.host === self) return own.create(name, bytesMax)
      const pipe = await client(place.host).pipe('memory-image', { ...name, bytesMax })
      // Nothing comes back by it but its end.
      if (pipe.ok) pipe.value.resume()
      return pipe
    },
    seal: async (place, snapshot, { bytes, digest }) => {
      const [name, content] = [nameOf(place, snapshot), { bytes, digest }]
      if (place.host === self) return own.seal(name, content)
      const answer = await client(place.host).callGuest('seal-memory-image', { name, content }, SEAL_MS_MAX)
      return answer as Result<void>
    },
    open: async (place, snapshot) => {
      const name = nameOf(place, snapshot)
      if (place.host === self) return own.open(name)
      return client(place.host).stream('memory-image', name, AbortSignal.timeout(READ_MS_MAX))
    },
  }
}

/** What this host offers of its own images to the others. */
export function memoryImageService(own: MemoryImages) {
  return {
    calls: {
      'seal-memory-image': (input: unknown) => {
        const { name, content } = input as { readonly name: ImageName; readonly content: ImageContent }
        return own.seal(name, content)
      },
    },
    pipes: {
      'memory-image': async (input: unknown): Promise<Result<Duplex>> => {
        const { bytesMax, ...name } = input as ImageName & { readonly bytesMax: number }
        const sink = await own.create(name, bytesMax)
        return sink.ok ? ok(writeOnly(sink.value)) : sink
      },
    },
    streams: {
      'memory-image': (input: unknown) => own.open(input as ImageName),
    },
  }
}

/** A pipe has two directions; the one back ends when all is written. */
function writeOnly(sink: Writable): Duplex {
  const duplex = new Duplex({
    highWaterMark: 1 << 20,
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => void sink.write(chunk, done),
    final: (done) => {
      sink.once('finish', () => {
        duplex.push(null)
        done()
      })
      sink.end()
    },
    destroy: (error, done) => {
      if (!sink.writableFinished) sink.destroy(error ?? undefined)
      done(error)
    },
  })
  sink.on('error', (error) => duplex.destroy(error))
  return duplex
}
