/** `GuestMemory` on QEMU: finds the guest's process, joins it to the images, wherever those lie. */
import type { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { failure, type Failure } from '@stead/core/errors.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import type { GuestLaunch, RunningGuest } from '@stead/core/ports/guest-host.ts'
import type { GuestMemory, ImagePlace, WrittenImage } from '@stead/core/ports/guest-memory.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { imageBytesMax } from './memory-image-settings.ts'
import { MemoryImageSource } from './memory-image-source.ts'
import { feedImage, ImageFanOut } from './memory-image-stream.ts'
import { INCOMING_ARGUMENTS } from './migration-destination.ts'
import { awaitMigration } from './migration-waiting.ts'
import type { GuestProcesses } from './qemu-guest-migration.ts'

/** A QEMU that was given all of an image has read it a moment later. */
const LOAD_STALL_MS = 20_000
/** It does not let the guest go on by itself: first the image must have been undamaged. */
const PAUSED_ARGUMENTS = [...INCOMING_ARGUMENTS, '-S'] as const

interface Content {
  readonly bytes: number
  readonly digest: string
}

/** The images of all hosts. */
export interface ImagePlaces {
  create(place: ImagePlace, snapshot: SnapshotId, bytesMax: number): Promise<Result<Writable>>
  seal(place: ImagePlace, snapshot: SnapshotId, content: Content): Promise<Result<void>>
  open(place: ImagePlace, snapshot: SnapshotId): Promise<Result<Readable>>
}

interface Writing {
  readonly snapshot: SnapshotId
  readonly source: MemoryImageSource
  readonly images: ImageFanOut<ImagePlace>
}

export interface QemuGuestMemoryOptions {
  readonly processes: GuestProcesses
  readonly places: ImagePlaces
  /** Whom QEMU runs as, when not as the agent. */
  readonly user?: { readonly uid: number; readonly gid: number }
}

export class QemuGuestMemory implements GuestMemory {
  readonly #options: QemuGuestMemoryOptions
  readonly #writing = new Map<GuestId, Writing>()

  constructor(options: QemuGuestMemoryOptions) {
    this.#options = options
  }

  begin(guest: GuestId, snapshot: SnapshotId, places: readonly ImagePlace[]): Promise<Result<void>> {
    const { processes, user } = this.#options
    return processes.with(guest, async (running) => {
      if (this.#writing.has(guest)) return fail(failure('conflict', 'The memory of the guest is being written already'))
      const found = running.hypervisor()
      if (!found.ok) return found
      const launch = await running.launchOf()
      if (!launch.ok) return launch
      const { monitor, folder } = found.value
      const memoryBytes = launch.value.memoryBytes + (launch.value.memoryAddedBytes ?? 0)
      const sinks = await this.#create(places, snapshot, imageBytesMax(memoryBytes))
      if (!sinks.ok) return sinks
      const images = await ImageFanOut.listen(folder.imageSocket, sinks.value, user)
      if (!images.ok) {
        for (const sink of sinks.value.values()) sink.destroy()
        return images
      }
      const source = new MemoryImageSource(monitor, memoryBytes)
      const begun = await source.begin(folder.imageSocket)
      if (!begun.ok) images.value.close()
      else this.#writing.set(guest, { snapshot, source, images: images.value })
      return begun
    })
  }

  awaitStandstill(guest: GuestId, signal: AbortSignal): Promise<Result<void>> {
    return this.#with(guest, ({ source }) => source.awaitStandstill(signal))
  }

  complete(guest: GuestId): Promise<Result<void>> {
    return this.#with(guest, ({ source }) => source.complete())
  }

  seal(guest: GuestId): Promise<Result<WrittenImage>> {
    return this.#with(guest, async ({ images, snapshot }) => {
      const written = await images.written()
      this.#writing.delete(guest)
      images.close()
      if (!written.ok) return written
      const { bytes, digest, places } = written.value
      const answers = await Promise.all(
        places.map(async (place) => ({
          place,
          sealed: await this.#options.places.seal(place, snapshot, written.value),
        })),
      )
      const hosts = answers.filter(({ sealed }) => sealed.ok).map(({ place }) => place.host)
      const failed = answers.flatMap(({ sealed }) => (sealed.ok ? [] : [sealed.error]))
      const [first] = failed
      return hosts.length === 0 && first ? fail(first) : ok({ bytes, digest, hosts })
    })
  }

  async abandon(guest: GuestId): Promise<Result<void>> {
    const writing = this.#writing.get(guest)
    if (!writing) return ok()
    this.#writing.delete(guest)
    writing.images.close()
    return writing.source.abandon()
  }

  /** Nothing is read any more. A guest that stands still for it does so until the next agent lets it go on. */
  close(): void {
    for (const { images } of this.#writing.values()) images.close()
    this.#writing.clear()
  }

  restore(
    launch: GuestLaunch,
    image: Content & { readonly snapshot: SnapshotId },
    places: readonly ImagePlace[],
  ): Promise<Result<RunningGuest>> {
    const { processes } = this.#options
    const { guest } = launch
    return processes.inTurn(guest, () => processes.quietly(guest, () => this.#restoreFromAny(launch, image, places)))
  }

  async copyImage(
    { snapshot, ...content }: Content & { readonly snapshot: SnapshotId },
    from: readonly ImagePlace[],
    to: ImagePlace,
  ): Promise<Result<void>> {
    const { places } = this.#options
    const errors: Failure[] = []
    for (const place of from) {
      const source = await places.open(place, snapshot)
      if (!source.ok) {
        errors.push(source.error)
        continue
      }
      const sink = await places.create(to, snapshot, content.bytes)
      if (!sink.ok) {
        source.value.destroy()
        return sink
      }
      // Whether all has come, and undamaged, is seen when it is sealed.
      await pipeline(source.value, sink.value).catch(() => undefined)
      const sealed = await places.seal(to, snapshot, content)
      if (sealed.ok) return sealed
      errors.push(sealed.error)
    }
    return fail(failure('storage', errors.map(({ message }) => message).join('; '), { cause: errors }))
  }

  async #restoreFromAny(
    launch: GuestLaunch,
    image: Content & { readonly snapshot: SnapshotId },
    places: readonly ImagePlace[],
  ): Promise<Result<RunningGuest>> {
    const errors: Failure[] = []
    for (const place of places) {
      const content = await this.#options.places.open(place, image.snapshot)
      const restored = content.ok ? await this.#restoreFrom(launch, content.value, image) : content
      if (restored.ok) return restored
      errors.push(failure(restored.error.code, `${place.host}: ${restored.error.message}`, { cause: restored.error }))
    }
    const reasons = errors.map(({ message }) => message).join('; ')
    return fail(failure('storage', reasons || 'no replica is left beside which it lay', { cause: errors }))
  }

  async #restoreFrom(launch: GuestLaunch, content: Readable, image: Content): Promise<Result<RunningGuest>> {
    const { processes } = this.#options
    const waiting = await processes.await(launch, PAUSED_ARGUMENTS)
    if (!waiting.ok) {
      content.destroy()
      return waiting
    }
    const restored = await processes.with(launch.guest, async (running): Promise<Result<RunningGuest>> => {
      const found = running.hypervisor()
      if (!found.ok) return found
      const { monitor, folder } = found.value
      const capabilities = [{ capability: 'events', state: true }]
      const ready = await monitor.execute('migrate-set-capabilities', { capabilities })
      if (!ready.ok) return ready
      const listening = await monitor.execute('migrate-incoming', { uri: `unix:${folder.imageSocket}` })
      if (!listening.ok) return listening
      let sentBytes = 0
      let seenBytes = 0
      const feeding = feedImage(content, folder.imageSocket, (bytes) => (sentBytes = bytes))
      const loaded = await awaitMigration<void>(
        monitor,
        async () => {
          const status = await monitor.execute<{ readonly status: string }>('query-status')
          if (!status.ok) return status
          if (status.value.status !== 'inmigrate') return ok()
          const moved = sentBytes !== seenBytes
          seenBytes = sentBytes
          return moved ? 'moved' : 'waiting'
        },
        LOAD_STALL_MS,
      )
      content.destroy(loaded.ok ? undefined : new Error('QEMU did not take it'))
      const fed = await feeding
      // What was fed says more than that QEMU did not like it.
      if (fed.ok && (fed.value.bytes !== image.bytes || fed.value.digest !== image.digest))
        return fail(failure('storage', 'the image is damaged'))
      if (!loaded.ok) return fail(failure('storage', `the image could not be loaded: ${loaded.error.message}`))
      return fed.ok ? running.inspect() : fed
    })
    if (!restored.ok) await processes.kill(launch.guest)
    return restored
  }

  async #create(
    places: readonly ImagePlace[],
    snapshot: SnapshotId,
    bytesMax: number,
  ): Promise<Result<ReadonlyMap<ImagePlace, Writable>>> {
    const answers = await Promise.all(
      places.map(async (place) => ({ place, sink: await this.#options.places.create(place, snapshot, bytesMax) })),
    )
    const sinks = new Map<ImagePlace, Writable>()
    const errors: Failure[] = []
    for (const { place, sink } of answers) {
      if (sink.ok) sinks.set(place, sink.value)
      else errors.push(failure(sink.error.code, `${place.host}: ${sink.error.message}`, { cause: sink.error }))
    }
    const [first] = errors
    if (!first) return ok(sinks)
    for (const sink of sinks.values()) sink.on('error', () => undefined).destroy()
    return fail(first)
  }

  async #with<T>(guest: GuestId, work: (writing: Writing) => Promise<Result<T>>): Promise<Result<T>> {
    const writing = this.#writing.get(guest)
    if (!writing) return fail(failure('not_found', 'No image of the memory of the guest is being written'))
    return work(writing)
  }
}
