/**
 * What the home of a native root does for its copies, one step after the other for each root: for those that follow it at
 * a distance, and for the one to which it moves. What is decided is in `ha/root-copies.ts`.
 */
import { failure, type Failure } from '../errors.ts'
import {
  copyOn,
  homeOf,
  isLostHost,
  nextRootStep,
  withoutCopy,
  withoutRootMove,
  withRootMoved,
  withSent,
  withTrouble,
  type RootStep,
} from '../ha/root-copies.ts'
import type { ClusterState, Versioned } from '../model/cluster.ts'
import type { HostId, VolumeId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import { inSync } from '../model/records.ts'
import type { RootCopy } from '../model/root-copy.ts'
import type { Volume } from '../model/volume.ts'
import type { Compare, Write } from '../ports/store.ts'
import { fail, ok, type Result } from '../result.ts'
import { failedOperationWrites } from './ended-operations.ts'
import type { HostContext } from './host-context.ts'
import { watchRecords } from './record-watch.ts'
import { moveFinished, moveUndone, rootCopyCurrent } from './storage-events.ts'
import { removalWrite } from './storage-mover.ts'
import { replaceVolume } from './replace-volume.ts'

const RETRY_MS = 1_000
/** Between two tries of a copy that cannot be made. */
const TROUBLE_MS = 30_000
/** What is sent within this time is sent again about as quickly, so that the guest may be stopped for it. */
const NEAR_MS = 3_000
/** A root that is written to as quickly as it is sent is moved all the same. */
const PASSES_MAX = 5
/** Of a move: then its guest stays where it is. */
const TRIES = 3

interface Sent {
  readonly at: number
  readonly tookMs: number
}

export class RootCopier {
  readonly #context: HostContext
  readonly #busy = new Set<VolumeId>()
  /** By volume and host. */
  readonly #notBefore = new Map<string, number>()
  /** Own roots beside which there is no more than what the next pass starts from, as far as this agent has seen to it. */
  readonly #tidied = new Set<VolumeId>()
  /** Of the move under way: how often it was sent, and how often that failed in a row. */
  readonly #passes = new Map<VolumeId, { readonly since: number; sent: number; failed: number }>()

  constructor(context: HostContext) {
    this.#context = context
  }

  run(signal: AbortSignal): Promise<void> {
    return watchRecords(this.#context, (state) => this.#look(state), signal)
  }

  #look(state: ClusterState): void {
    const { self, mirror, clock } = this.#context
    if (!mirror.loaded) return
    for (const { value: volume } of state.volumes.values()) {
      if (volume.form !== 'subvolume') continue
      if (volume.takesOver !== undefined && volume.replicas[0]?.host === self)
        this.#once(volume.id, () => this.#takeOver(volume.id))
      else if (homeOf(volume) === self) {
        const isPaused = (host: HostId) => clock.monotonicMs() < (this.#notBefore.get(`${volume.id}/${host}`) ?? 0)
        const isUsable = (host: HostId) => this.#isUp(host) && !isPaused(host)
        const step = nextRootStep(state, volume, isUsable, clock.wallMs())
        if (step) {
          this.#tidied.delete(volume.id)
          this.#once(volume.id, () => this.#take(volume.id, step))
        } else if (!this.#tidied.has(volume.id)) this.#once(volume.id, () => this.#tidyOwn(volume.id))
      }
    }
  }

  #once(id: VolumeId, task: () => Promise<void>): void {
    if (this.#busy.has(id)) return
    this.#busy.add(id)
    task()
      .catch((error: unknown) => this.#context.log.error('a native root could not be copied', { volume: id, error }))
      .finally(() => this.#busy.delete(id))
  }

  readonly #isUp = (host: HostId): boolean => this.#context.mirror.state.statuses.get(host)?.value.state === 'online'

  async #take(id: VolumeId, step: RootStep): Promise<void> {
    const known = this.#context.mirror.state.volumes.get(id)
    if (!known) return
    switch (step.kind) {
      case 'begin': {
        const free = { key: KEYS.removal(step.copy.host, id, step.copy.pool), modRevision: 0n }
        const copies = [...(known.value.copies ?? []), step.copy]
        return void (await this.#put(known, { ...known.value, copies }, [], [free]))
      }
      case 'end': {
        const { volume, removal } = withoutCopy(known.value, step.copy.host)
        return void (await this.#put(known, volume, removalWrite(removal)))
      }
      case 'stay':
        return this.#stay(known, failure('conflict', `Its root stays where it is: ${step.reason}`))
      case 'send':
        return this.#send(known, step.copy, step.last)
    }
  }

  async #send(known: Versioned<Volume>, copy: RootCopy, last: boolean): Promise<void> {
    const { mirror, guests, clock } = this.#context
    const { value: volume } = known
    const grant = mirror.state.grants.get(volume.guest)
    if (last) {
      // Of a run that did not end in order something may be left, which writes.
      const ended = await guests.kill(volume.guest)
      if (!ended.ok) return clock.sleep(RETRY_MS)
    }
    const sent = await this.#pass(volume, copy)
    if (!sent.ok) return this.#failed(known, copy, sent.error)
    const epoch = grant?.value.epoch ?? 0
    if (last) return this.#finish(known, { at: sent.value.at, epoch }, grant?.revision ?? 0n)
    const newest = { at: sent.value.at, epoch }
    const isNear = this.#isNear(volume, copy, sent.value)
    await this.#note(volume.id, copy.host, (now) => withSent(now, copy.host, newest, isNear))
    await this.#tidy(volume.id)
  }

  /** From cut to copy. Ends when the other host is lost or the copy is not wanted any more; what is half there is deleted later. */
  async #pass(volume: Volume, copy: RootCopy): Promise<Result<Sent>> {
    const { self, ownRoots: own, rootsOn, clock } = this.#context
    const pool = inSync(volume)[0]?.pool ?? ''
    const there = rootsOn(copy.host)
    const began = clock.monotonicMs()
    const [mine, theirs] = await Promise.all([own.held(volume.id, pool), there.held(volume.id, copy.pool)])
    if (!mine.ok) return mine
    if (!theirs.ok) return theirs
    const known = (volume.copies ?? []).map(({ newest }) => newest?.at ?? 0)
    const at = Math.max(clock.wallMs(), ...[...mine.value, ...theirs.value, ...known].map((each) => each + 1))
    const base = mine.value.findLast((each) => theirs.value.includes(each))
    const cut = await own.cut(volume.id, pool, at)
    if (!cut.ok) return cut
    const { sizeBytes } = volume
    const order = { volume: volume.id, pool: copy.pool, at, sizeBytes, from: { host: self, pool } }
    const received = await this.#unlessInVain(
      volume,
      copy,
      there.receive(base === undefined ? order : { ...order, base }),
    )
    return received.ok ? ok({ at, tookMs: clock.monotonicMs() - began }) : received
  }

  async #unlessInVain<T>({ id }: Volume, { host }: RootCopy, work: Promise<Result<T>>): Promise<Result<T>> {
    let off = () => {}
    const inVain = new Promise<Result<T>>((resolve) => {
      off = this.#context.mirror.onChange((state) => {
        const volume = state.volumes.get(id)?.value
        if (!volume || !copyOn(volume, host)) resolve(fail(failure('conflict', 'The copy is not wanted any more')))
        else if (isLostHost(state, host)) resolve(fail(failure('host_unreachable', `${host} is lost`)))
      })
    })
    return Promise.race([work, inVain]).finally(off)
  }

  #isNear({ id, move }: Volume, { host }: RootCopy, { tookMs }: Sent): boolean {
    if (move?.to !== host) return false
    const passes = this.#passesOf(id, move.since)
    passes.failed = 0
    passes.sent += 1
    return tookMs <= NEAR_MS || passes.sent >= PASSES_MAX
  }

  #passesOf(id: VolumeId, since: number) {
    const known = this.#passes.get(id)
    const passes = known?.since === since ? known : { since, sent: 0, failed: 0 }
    this.#passes.set(id, passes)
    return passes
  }

  async #failed(known: Versioned<Volume>, copy: RootCopy, error: Failure): Promise<void> {
    const { clock, log } = this.#context
    const { id, move } = known.value
    log.warn('a copy of a native root could not be made', { volume: id, to: copy.host, cause: error })
    if (move?.to === copy.host) {
      const passes = this.#passesOf(id, move.since)
      passes.failed += 1
      if (passes.failed >= TRIES || error.code === 'no_capacity') {
        await this.#stay(this.#context.mirror.state.volumes.get(id) ?? known, error)
        return this.#tidy(id)
      }
    } else {
      this.#notBefore.set(`${id}/${copy.host}`, clock.monotonicMs() + TROUBLE_MS)
      await this.#note(id, copy.host, (now) => withTrouble(now, copy.host, error.message, clock.wallMs()))
    }
    await this.#tidy(id)
    await clock.sleep(RETRY_MS)
  }

  /** The guest runs nowhere, and what it has written last is there: from here on that is the root. */
  async #finish(
    { value: { id, guest } }: Versioned<Volume>,
    newest: NonNullable<RootCopy['newest']>,
    grantRevision: bigint,
  ): Promise<void> {
    const { mirror, events, clock } = this.#context
    const known = mirror.state.volumes.get(id)
    const { move } = known?.value ?? {}
    if (!known || move?.to === undefined) return
    const moved = withRootMoved(withSent(known.value, move.to, newest, false))
    if (!moved) return
    const atRest = { key: KEYS.grant(guest), modRevision: grantRevision }
    if (await this.#put(known, moved.volume, removalWrite(moved.removal), [atRest]))
      events.tell(moveFinished(moved.volume, move, this.#nameOf(guest)))
    else await clock.sleep(RETRY_MS / 10)
  }

  /** The guest is asked to move no more, and goes on where its root is. */
  async #stay(known: Versioned<Volume>, error: Failure): Promise<void> {
    const { mirror, events, clock } = this.#context
    const { move } = known.value
    if (move?.to === undefined) return
    const guest = mirror.state.guests.get(known.value.guest)
    const follows = guest?.value.rootCopy?.to === move.to
    const { volume, removal } = withoutRootMove(known.value, error.message, follows, clock.wallMs())
    const besides: Write[] = [
      ...removalWrite(removal),
      ...failedOperationWrites(this.#context, `volume/${volume.id}`, error),
    ]
    const compares: Compare[] = []
    if (guest?.value.moveTo === move.to) {
      const { moveTo: _to, moveHow: _how, ...stays } = guest.value
      compares.push({ key: KEYS.guest(guest.value.id), modRevision: guest.revision })
      besides.push({ kind: 'put', key: KEYS.guest(guest.value.id), value: JSON.stringify(stays) })
      besides.push(...failedOperationWrites(this.#context, `guest/${guest.value.id}`, error, 'vm.relocate'))
    }
    if (await this.#put(known, volume, besides, compares))
      events.tell(moveUndone(volume, this.#nameOf(volume.guest), error.message))
  }

  /** Of a root that was given up while its host was lost. */
  async #takeOver(id: VolumeId): Promise<void> {
    const { ownRoots, mirror, clock, log } = this.#context
    const known = mirror.state.volumes.get(id)
    const pool = known?.value.replicas[0]?.pool
    if (!known || known.value.takesOver === undefined || pool === undefined) return
    const { takesOver, ...settled } = known.value
    const taken = await ownRoots.takeOver(takesOver, id, pool)
    if (taken.ok) return void (await this.#put(known, settled))
    log.warn('a root could not be set aside yet', { volume: takesOver, cause: taken.error })
    await clock.sleep(RETRY_MS)
  }

  /** Neither side keeps more than what the next pass starts from. */
  async #tidy(id: VolumeId): Promise<void> {
    const { rootsOn, mirror } = this.#context
    const copies = mirror.state.volumes.get(id)?.value.copies ?? []
    await this.#tidyOwn(id)
    await Promise.all(
      copies
        .filter(({ host }) => this.#isUp(host))
        .map((copy) => rootsOn(copy.host).keepOnly(id, copy.pool, newestOf(copy))),
    )
  }

  /** Also when this agent has begun, and when a copy is not wanted any more: a cut keeps all blocks that it shows. */
  async #tidyOwn(id: VolumeId): Promise<void> {
    const { ownRoots, mirror, clock } = this.#context
    const volume = mirror.state.volumes.get(id)?.value
    const pool = volume && inSync(volume)[0]?.pool
    if (!volume || pool === undefined) return
    const tidied = await ownRoots.keepOnly(id, pool, (volume.copies ?? []).flatMap(newestOf))
    if (tidied.ok) this.#tidied.add(id)
    else await clock.sleep(RETRY_MS)
  }

  /** What was sent is not sent again because something else has changed in the record meanwhile. */
  async #note(id: VolumeId, host: HostId, change: (volume: Volume) => Volume): Promise<void> {
    for (let tries = 0; tries < 20; tries++) {
      const known = this.#context.mirror.state.volumes.get(id)
      const before = known && copyOn(known.value, host)
      if (!known || !before) return
      const next = change(known.value)
      if (!(await this.#put(known, next))) continue
      // The next look, and what is tidied, go by this host's copy of the records.
      await this.#untilSeen(id, known.revision)
      if (before.late && !copyOn(next, host)?.late)
        this.#context.events.tell(rootCopyCurrent(next, this.#nameOf(next.guest), host))
      return
    }
  }

  async #untilSeen(id: VolumeId, revision: bigint): Promise<void> {
    const { mirror, clock } = this.#context
    for (let tries = 0; tries < 50 && mirror.state.volumes.get(id)?.revision === revision; tries++)
      await clock.sleep(20)
  }

  #put(
    known: Versioned<Volume>,
    next: Volume,
    besides: readonly Write[] = [],
    compares: readonly Compare[] = [],
  ): Promise<boolean> {
    return replaceVolume(this.#context, known, next, { besides, compares, retryMs: RETRY_MS })
  }

  #nameOf(guest: Volume['guest']): string {
    return this.#context.mirror.state.guests.get(guest)?.value.name ?? guest
  }
}

function newestOf({ newest }: RootCopy): readonly number[] {
  return newest ? [newest.at] : []
}
