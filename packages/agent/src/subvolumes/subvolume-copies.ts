/**
 * The port `OwnRootCopies` on btrfs: what changed between two read-only snapshots travels as `btrfs send` writes it, over the
 * hosts' own TLS, into `btrfs receive` on the other host. docs/internals/native-roots.md
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { Transform, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { failure, type Failure } from '@stead/core/errors.ts'
import { copyOn, homeOf } from '@stead/core/ha/root-copies.ts'
import type { HostId, VolumeId } from '@stead/core/model/ids.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import type { CopyOrder, OwnRootCopies, UnfinishedCopy } from '@stead/core/ports/root-copies.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { KeyedLock } from '../storage/keyed-lock.ts'
import { noCapacity, roomIn } from '../storage/replica-files.ts'
import type { PoolConfig } from '../storage/storage-daemon.ts'
import { canHoldSubvolumes, cloneSubvolume, deleteSubvolume, ensureQuotas, sweepQgroups } from './btrfs.ts'
import { dropCopies, restoreFormer, rootAside, rootToBe, sealCopy } from './root-copy-files.ts'
import { SubvolumeFolder } from './subvolume-folder.ts'
import { noRoot, noSubvolumes } from './subvolume-refusals.ts'

/** Of what is sent, which may stop for as long as the source looks for changes and the disk takes writes. */
const SILENCE_MS_MAX = 60_000
const COMPLAINT_BYTES_MAX = 4_096

/** What the home is asked to send. */
export interface SendOrder {
  readonly volume: VolumeId
  readonly pool: string
  readonly at: number
  readonly base?: number
}

export interface SubvolumeCopiesOptions {
  readonly self: HostId
  readonly pools: readonly PoolConfig[]
  /** That of `SubvolumeVolumes`. */
  readonly lock: KeyedLock
  /** The volume's record, read linearizably. */
  readonly readVolume: (volume: VolumeId) => Promise<Result<Volume | undefined>>
  /** Calls back when the volume's record, as this host knows it, has changed; returns what ends that. */
  readonly watch: (volume: VolumeId, changed: (record: Volume | undefined) => void) => () => void
  /** Another host's `send`. */
  readonly open: (host: HostId, order: SendOrder, signal: AbortSignal) => Promise<Result<Readable>>
}

export class SubvolumeCopies implements OwnRootCopies {
  readonly #options: SubvolumeCopiesOptions
  /** Receiving takes long, and keeps nobody from what is done to the roots. */
  readonly #receiving = new KeyedLock()
  readonly #underWay = new Map<VolumeId, number>()

  constructor(options: SubvolumeCopiesOptions) {
    this.#options = options
  }

  async held(volume: VolumeId, pool: string): Promise<Result<readonly number[]>> {
    const folder = this.#folder(pool)
    return folder.ok ? ok(folder.value.wholeCopies(volume)) : folder
  }

  cut(volume: VolumeId, pool: string, at: number): Promise<Result<void>> {
    return this.#locked(volume, pool, async (folder) => {
      restoreFormer(folder, volume)
      const source = rootToBe(folder, volume)
      if (!source.ok) return source
      if (folder.copyRecord(volume, at)) return ok()
      mkdirSync(folder.copies(volume), { recursive: true, mode: 0o700 })
      const cleared = await deleteSubvolume(folder.copy(volume, at))
      const made = cleared.ok ? await cloneSubvolume(source.value.path, folder.copy(volume, at), 'read-only') : cleared
      return made.ok ? sealCopy(folder, volume, at, source.value.sizeBytes) : made
    })
  }

  keepOnly(volume: VolumeId, pool: string, kept: readonly number[]): Promise<Result<void>> {
    const isUsed = (at: number) => this.#underWay.get(volume) === at
    return this.#locked(volume, pool, (folder) => {
      restoreFormer(folder, volume)
      const newest = existsSync(folder.root(volume)) ? [] : folder.wholeCopies(volume).slice(-1)
      return dropCopies(folder, volume, [...kept, ...newest], isUsed)
    })
  }

  takeOver(from: VolumeId, to: VolumeId, pool: string): Promise<Result<void>> {
    return this.#locked(from, pool, async (folder) => {
      if (!existsSync(folder.root(to))) {
        restoreFormer(folder, from)
        const made = existsSync(folder.root(from)) ? ok() : await rootAside(folder, from, to)
        if (!made.ok) return made
      }
      const dropped = await dropCopies(folder, from, [])
      if (!dropped.ok) return dropped
      if (existsSync(folder.root(to))) return folder.forget(from)
      const record = folder.record(from)
      if (!record.ok) return record
      if (!record.value) return fail(noRoot(from))
      for (const snapshot of folder.snapshotsOf(from)) {
        const deleted = await deleteSubvolume(folder.snapshot(from, snapshot))
        if (!deleted.ok) return deleted
      }
      const noted = folder.note(to, record.value)
      if (!noted.ok) return noted
      renameSync(folder.root(from), folder.root(to))
      await sweepQgroups(folder.path)
      return folder.forget(from)
    })
  }

  unfinished(): readonly UnfinishedCopy[] {
    return this.#options.pools.flatMap(({ name, path }) => {
      const folder = new SubvolumeFolder(path)
      const left = folder.copied.filter((volume) => this.#isUnfinished(folder, volume))
      return left.map((volume) => ({ volume, pool: name }))
    })
  }

  dropUnfinished({ volume, pool }: UnfinishedCopy): Promise<Result<void>> {
    return this.#locked(volume, pool, async (folder) =>
      this.#isUnfinished(folder, volume) ? dropCopies(folder, volume, []) : ok(),
    )
  }

  #isUnfinished(folder: SubvolumeFolder, volume: VolumeId): boolean {
    return folder.isUnfinished(volume) && !this.#underWay.has(volume)
  }

  receive(order: CopyOrder): Promise<Result<{ readonly bytes: number }>> {
    return this.#receiving.run(order.volume, () => this.#receive(order))
  }

  /** Ends with an error where it is not whole: the stream of `btrfs send` itself may end anywhere between two commands. */
  async send({ volume, pool, at, base }: SendOrder, signal: AbortSignal): Promise<Result<AsyncIterable<Uint8Array>>> {
    const folder = this.#folder(pool)
    if (!folder.ok) return folder
    const wanted = [at, ...(base === undefined ? [] : [base])]
    const held = folder.value.wholeCopies(volume)
    if (!wanted.every((each) => held.includes(each)))
      return fail(failure('not_found', `This host does not hold what is to be sent of volume ${volume}`))
    const parent = base === undefined ? [] : ['-p', folder.value.copy(volume, base)]
    return ok(outputOf(['send', '-q', ...parent, folder.value.copy(volume, at)], signal))
  }

  async #receive(order: CopyOrder): Promise<Result<{ readonly bytes: number }>> {
    const { volume, at, sizeBytes } = order
    const place = this.#folder(order.pool)
    if (!place.ok) return place
    const folder = place.value
    const refused = await this.#refusal(folder, order)
    if (refused) return fail(refused)
    if (folder.copyRecord(volume, at)) return ok({ bytes: 0 })
    const room = await this.#roomFor(folder, order)
    if (!room.ok) return room
    this.#underWay.set(volume, at)
    try {
      const cleared = await deleteSubvolume(folder.copy(volume, at))
      if (!cleared.ok) return cleared
      mkdirSync(folder.copies(volume), { recursive: true, mode: 0o700 })
      const received = await this.#fetch(folder, order)
      // The record may have given the copy up meanwhile, or another host may be the home now.
      const late = received.ok ? await this.#refusal(folder, order) : undefined
      const sealed = late ? fail(late) : received.ok ? await sealCopy(folder, volume, at, sizeBytes) : received
      if (sealed.ok) return received
      await this.#locked(volume, order.pool, () => dropCopies(folder, volume, folder.wholeCopies(volume)))
      return sealed
    } finally {
      this.#underWay.delete(volume)
    }
  }

  /** Of a copy that the record does not want here, or that is not from the root's home. */
  async #refusal(folder: SubvolumeFolder, { volume, pool, from }: CopyOrder): Promise<Failure | undefined> {
    const record = await this.#options.readVolume(volume)
    if (!record.ok) return record.error
    const isWanted = record.value && copyOn(record.value, this.#options.self)?.pool === pool
    if (!isWanted || homeOf(record.value) !== from.host)
      return failure('conflict', `The record of volume ${volume} wants no copy here from ${from.host}`)
    if (existsSync(folder.root(volume)) || existsSync(folder.former(volume)))
      return failure('conflict', `An earlier root of volume ${volume} is still here`)
    return undefined
  }

  async #roomFor(folder: SubvolumeFolder, { pool: name, volume, sizeBytes }: CopyOrder): Promise<Result<void>> {
    const pool = this.#options.pools.find((each) => each.name === name)!
    mkdirSync(folder.path, { recursive: true, mode: 0o700 })
    if (!canHoldSubvolumes(folder.path)) return fail(noSubvolumes(pool))
    const counting = await this.#options.lock.run(`pool ${name}`, () => ensureQuotas(folder.path))
    if (!counting.ok) return counting
    // The room of a later one is promised with the first.
    if (folder.wholeCopies(volume).length > 0) return ok()
    const room = await roomIn(pool)
    return sizeBytes > room ? fail(noCapacity(pool, sizeBytes, room)) : ok()
  }

  async #fetch(folder: SubvolumeFolder, order: CopyOrder): Promise<Result<{ readonly bytes: number }>> {
    const { volume, at, base, from } = order
    const { open, watch, self } = this.#options
    const ending = new AbortController()
    const off = watch(volume, (record) => {
      if (!record || !copyOn(record, self)) ending.abort(new Error('the copy is not wanted any more'))
    })
    try {
      const sent: SendOrder = { volume, pool: from.pool, at, ...(base === undefined ? {} : { base }) }
      const stream = await open(from.host, sent, ending.signal)
      if (!stream.ok) return stream
      return await received(stream.value, folder.copies(volume), ending)
    } finally {
      off()
    }
  }

  #locked<T>(
    volume: VolumeId,
    pool: string,
    task: (folder: SubvolumeFolder) => Promise<Result<T>>,
  ): Promise<Result<T>> {
    return this.#options.lock.run(volume, async () => {
      const folder = this.#folder(pool)
      return folder.ok ? task(folder.value) : folder
    })
  }

  #folder(name: string): Result<SubvolumeFolder> {
    const pool = this.#options.pools.find((each) => each.name === name)
    return pool ? ok(new SubvolumeFolder(pool.path)) : fail(failure('not_found', `This host has no pool ${name}`))
  }
}

async function received(
  stream: Readable,
  folder: string,
  ending: AbortController,
): Promise<Result<{ readonly bytes: number }>> {
  const program = spawn('btrfs', ['receive', '-q', folder], { stdio: ['pipe', 'ignore', 'pipe'] })
  const ended = endOf(program)
  let bytes = 0
  let silence = setTimeout(() => undefined, 0)
  const listen = () => {
    clearTimeout(silence)
    silence = setTimeout(() => ending.abort(new Error('nothing came any more')), SILENCE_MS_MAX)
  }
  const counting = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      bytes += chunk.length
      listen()
      done(null, chunk)
    },
  })
  listen()
  const piped = await pipeline(stream, counting, program.stdin, { signal: ending.signal }).then(
    () => undefined,
    (cause: unknown) => cause,
  )
  clearTimeout(silence)
  // What it was sent so far would be whole to it.
  if (piped !== undefined) program.kill('SIGKILL')
  const { code, complaint } = await ended
  if (piped === undefined && code === 0) return ok({ bytes })
  const isFull = /No space left|Disk quota exceeded/.test(complaint)
  const cause = ending.signal.aborted ? ending.signal.reason : piped
  const why = complaint || (cause instanceof Error ? cause.message : 'it was ended')
  return fail(failure(isFull ? 'no_capacity' : 'storage', `The root could not be received: ${why}`, { cause }))
}

async function* outputOf(args: readonly string[], signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const program = spawn('btrfs', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const kill = () => void program.kill('SIGKILL')
  signal.addEventListener('abort', kill, { once: true })
  const ended = endOf(program)
  try {
    for await (const chunk of program.stdout) yield chunk as Buffer
    const { code, complaint } = await ended
    if (code !== 0) throw new Error(`btrfs send failed: ${complaint || 'it was ended'}`)
  } finally {
    signal.removeEventListener('abort', kill)
    kill()
  }
}

function endOf(program: ChildProcess): Promise<{ readonly code: number | null; readonly complaint: string }> {
  let complaint = ''
  program.stderr?.setEncoding('utf8').on('data', (text: string) => {
    if (complaint.length < COMPLAINT_BYTES_MAX) complaint += text
  })
  return new Promise((resolve) => {
    const end = (code: number | null) => resolve({ code, complaint: complaint.trim().split('\n').at(-1) ?? '' })
    program.once('error', (error) => {
      complaint ||= error.message
      end(null)
    })
    program.once('close', end)
  })
}
