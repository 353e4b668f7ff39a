/** `GuestMemory` in memory: an image is what a guest knows of its own writes, and lies with the snapshot of a replica. */
import { failure } from '@stead/core/errors.ts'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import type { GuestLaunch, RunningGuest } from '@stead/core/ports/guest-host.ts'
import type { GuestMemory, ImagePlace, WrittenImage } from '@stead/core/ports/guest-memory.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { describe } from './memory-guest-host.ts'
import type { MemoryMachine, Process } from './memory-machine.ts'
import type { Kept } from './memory-snapshots.ts'

/** What a guest has in its memory, as far as a simulated one has any. */
export interface KeptMemory {
  readonly known: ReadonlyMap<VolumeId, { readonly acknowledged: number; readonly sinceFlush: number }>
  isDamaged?: boolean
}

/** One that is being written. */
export interface MemoryWriting {
  readonly snapshot: SnapshotId
  readonly places: readonly ImagePlace[]
  image?: KeptMemory
}

const DIGEST = `sha256:${'0'.repeat(64)}`

export interface MemoryGuestMemoryOptions {
  readonly machine: MemoryMachine
  /** What the replica there keeps of the snapshot; undefined while nobody there answers. */
  readonly kept: (place: ImagePlace, snapshot: SnapshotId) => Kept | undefined
  /** How long it takes until the guest stands still; no time when absent. */
  readonly copying?: () => Promise<void>
}

export class MemoryGuestMemory implements GuestMemory {
  readonly #options: MemoryGuestMemoryOptions

  constructor(options: MemoryGuestMemoryOptions) {
    this.#options = options
  }

  async begin(guest: GuestId, snapshot: SnapshotId, places: readonly ImagePlace[]): Promise<Result<void>> {
    const process = this.#options.machine.processes.get(guest)
    if (!process) return notHere(guest)
    if (process.status !== 'running') return fail(failure('conflict', 'the guest stands still'))
    if (process.writing) return fail(failure('conflict', 'The memory of the guest is being written already'))
    if (!places.every((place) => this.#options.kept(place, snapshot)))
      return fail(failure('host_unreachable', 'A host takes no image'))
    process.writing = { snapshot, places }
    return ok()
  }

  async awaitStandstill(guest: GuestId, signal: AbortSignal): Promise<Result<void>> {
    const { machine, copying } = this.#options
    const begun = this.#writing(guest)
    if (!begun.ok) return begun
    await copying?.()
    if (signal.aborted) return fail(failure('timeout', 'Nobody waits for it any more'))
    const found = this.#writing(guest)
    if (!found.ok) return found
    const { process, writing } = found.value
    if (process.status !== 'running') return fail(failure('hypervisor', 'The memory cannot be written'))
    process.status = 'other'
    const flushed = await machine.flushAll(process)
    if (process.writing !== writing) return fail(failure('conflict', 'It was given up'))
    return flushed ? ok() : fail(failure('hypervisor', 'The memory cannot be written: Input/output error'))
  }

  async complete(guest: GuestId): Promise<Result<void>> {
    const found = this.#writing(guest)
    if (!found.ok) return found
    const { process, writing } = found.value
    const known = new Map<VolumeId, { acknowledged: number; sinceFlush: number }>()
    for (const [volume, { acknowledged, sinceFlush }] of process.disks) known.set(volume, { acknowledged, sinceFlush })
    writing.image = { known }
    process.status = 'paused'
    return ok()
  }

  async seal(guest: GuestId): Promise<Result<WrittenImage>> {
    const found = this.#writing(guest)
    if (!found.ok) return found
    const { process, writing } = found.value
    const { image, places, snapshot } = writing
    delete process.writing
    if (!image) return fail(failure('storage', 'The memory was not written'))
    const hosts = places.flatMap((place) => {
      const kept = this.#options.kept(place, snapshot)
      if (kept) kept.memory = { ...image }
      return kept ? [place.host] : []
    })
    if (hosts.length === 0) return fail(failure('storage', 'No host has kept the image'))
    return ok({ bytes: process.launch.memoryBytes, digest: DIGEST, hosts })
  }

  async abandon(guest: GuestId): Promise<Result<void>> {
    const process = this.#options.machine.processes.get(guest)
    if (process) giveUpWriting(process, this.#options.machine)
    return ok()
  }

  async copyImage(
    { snapshot }: Parameters<GuestMemory['copyImage']>[0],
    from: readonly ImagePlace[],
    to: ImagePlace,
  ): Promise<Result<void>> {
    const { kept } = this.#options
    const image = from
      .map((place) => kept(place, snapshot)?.memory)
      .find((each) => each !== undefined && each.isDamaged !== true)
    const target = kept(to, snapshot)
    if (!image || !target) return fail(failure('storage', 'all images are damaged or gone'))
    target.memory = { ...image }
    return ok()
  }

  async restore(
    launch: GuestLaunch,
    { snapshot }: Parameters<GuestMemory['restore']>[1],
    places: readonly ImagePlace[],
  ): Promise<Result<RunningGuest>> {
    const { machine, kept } = this.#options
    const image = places
      .map((place) => kept(place, snapshot)?.memory)
      .find((each) => each !== undefined && each.isDamaged !== true)
    if (!image) return fail(failure('storage', 'all images are damaged or gone'))
    const spawned = machine.spawn(launch, 'arriving')
    if (!spawned.ok) return spawned
    machine.arrive(spawned.value, image.known, 'paused')
    return ok(describe(spawned.value))
  }

  #writing(guest: GuestId): Result<{ readonly process: Process; readonly writing: MemoryWriting }> {
    const process = this.#options.machine.processes.get(guest)
    if (!process?.writing) return fail(failure('not_found', 'No image of the memory of the guest is being written'))
    return ok({ process, writing: process.writing })
  }
}

/** The guest goes on, unless it was something else that has stopped it. */
export function giveUpWriting(process: Process, machine: MemoryMachine): void {
  if (!process.writing) return
  delete process.writing
  if (process.status !== 'other' && process.status !== 'paused') return
  process.status = 'running'
  queueMicrotask(() => machine.runGuests())
}

function notHere(guest: GuestId): Result<never> {
  return fail(failure('not_found', `Guest ${guest} does not run here`))
}
