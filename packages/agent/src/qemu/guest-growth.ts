/**
 * Memory and processors of one running QEMU: giving more, asking some back, and what its balloon tells. What it was
 * started for is in the launch record, and what has become of it goes there too: a migration's destination is made of it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { failure } from '@stead/core/errors.ts'
import { BALLOON_MIN_BYTES } from '@stead/core/model/growth.ts'
import type { GuestMemoryUse, HardwareFacts } from '@stead/core/ports/guest-hardware.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { pluggedDevices, unplugDevice } from './device-unplug.ts'
import type { GuestDevicesOptions } from './guest-devices.ts'
import { BALLOON_DEVICE, MEMORY_DEVICE, addedBytes, cpuDevice, cpusAmong, roomBytes } from './growth-arguments.ts'
import { processorOf } from './launch-arguments.ts'
import type { QmpClient } from './qmp.ts'

/** How long a guest may take over what it is given or asked for, before others have their turn; it goes on meanwhile. */
const PATIENCE_MS = 4_000
const LOOK_MS = 100
const BALLOON_NUDGE_BYTES = 2 ** 20
/** How often the guest is asked how much memory it has free. */
const STATISTICS_SECONDS = 5

type GrowthFacts = Pick<
  HardwareFacts,
  'memoryBytes' | 'memoryMinBytes' | 'memoryMaxBytes' | 'cpus' | 'cpusMin' | 'cpusMax' | 'balloonBytes'
>

export class GuestGrowth {
  readonly #options: GuestDevicesOptions
  #isAsking = false

  constructor(options: GuestDevicesOptions) {
    this.#options = options
  }

  /** Also brings the record up to date with a guest that took its time. */
  async facts(): Promise<Result<GrowthFacts>> {
    const { launch } = this.#options.record()
    const { memoryMaxBytes } = launch
    const cpus = await this.#cpus()
    if (!cpus.ok) return cpus
    const { cpusMax } = launch
    const processors = { cpus: cpus.value, cpusMin: cpusMax ? 1 : launch.cpus, cpusMax: cpusMax ?? launch.cpus }
    const fixed = { memoryBytes: launch.memoryBytes, memoryMinBytes: launch.memoryBytes }
    if (memoryMaxBytes === undefined) return ok({ ...processors, ...fixed, memoryMaxBytes: launch.memoryBytes })
    const added = await this.#added()
    if (!added.ok) return added
    const balloon = await this.#balloonActual()
    if (!balloon.ok) return balloon
    return ok({
      ...processors,
      ...fixed,
      memoryBytes: launch.memoryBytes + added.value,
      memoryMaxBytes,
      // QEMU counts the balloon against what the guest booted with.
      balloonBytes: balloon.value + added.value,
    })
  }

  async setCpus(wanted: number): Promise<Result<void>> {
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    const { launch } = this.#options.record()
    if (wanted < 1 || wanted > (launch.cpusMax ?? launch.cpus) || launch.cpusMax === undefined)
      return outOfReach(`${wanted} processors`)
    for (;;) {
      const now = await this.#cpus()
      if (!now.ok) return now
      if (now.value === wanted) return ok()
      const done =
        now.value < wanted
          ? await this.#addCpu(monitor.value, now.value)
          : await unplugDevice(monitor.value, `cpu${now.value - 1}`, `processor ${now.value - 1}`)
      if (!done.ok) return done
    }
  }

  /**
   * An emulating QEMU has a translator for each place, gives none back, and aborts when it runs out of them: there a
   * processor can be given only as often as there were places free at its start.
   */
  async #addCpu(monitor: QmpClient, number: number): Promise<Result<unknown>> {
    const record = this.#options.record()
    const { launch, cpusMade = launch.cpus } = record
    if (launch.accelerator === 'tcg' && cpusMade >= (launch.cpusMax ?? launch.cpus))
      return fail(
        failure('conflict', 'An emulated guest that has given processors back is given none again', {
          hint: 'It has them after its next start, or once it has moved to another host',
        }),
      )
    const noted = this.#options.save({ ...record, cpusMade: cpusMade + 1 })
    return noted.ok ? monitor.execute('device_add', cpuDevice(processorOf(launch), number)) : noted
  }

  async setMemory(wantedBytes: number): Promise<Result<void>> {
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    const { launch } = this.#options.record()
    const { memoryBytes, memoryMaxBytes = memoryBytes } = launch
    if (wantedBytes < memoryBytes || wantedBytes > memoryMaxBytes) return outOfReach(mebibytes(wantedBytes))
    if (roomBytes(launch) === 0) return ok()
    const bytes = addedBytes(launch, wantedBytes)
    const noted = this.#note({ memoryAddedBytes: bytes })
    if (!noted.ok) return noted
    const path = `/machine/peripheral/${MEMORY_DEVICE}`
    const asked = await monitor.value.execute('qom-set', { path, property: 'requested-size', value: bytes })
    if (!asked.ok) return asked
    const reached = await this.#watch(
      () => this.#added(),
      (added) => added === bytes,
    )
    if (!reached.ok || reached.value === bytes) return reached.ok ? ok() : reached
    const has = mebibytes(memoryBytes + reached.value)
    return reached.value < bytes
      ? notYet(`The guest has taken ${has} of ${mebibytes(memoryBytes + bytes)} yet`, 'virtio-mem')
      : notYet(`The guest still has ${has} and is to have ${mebibytes(memoryBytes + bytes)}`, 'virtio-mem')
  }

  async setBalloon(leaveBytes: number | undefined): Promise<Result<void>> {
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    const { launch } = this.#options.record()
    if (launch.memoryMaxBytes === undefined) return outOfReach('a balloon')
    const added = await this.#added()
    if (!added.ok) return added
    const left = leaveBytes === undefined ? launch.memoryBytes : leaveBytes - added.value
    const value = Math.min(launch.memoryBytes, Math.max(left, BALLOON_MIN_BYTES))
    const before = await this.#balloonActual()
    let reached = before.ok ? await this.#askBalloon(monitor.value, value) : before
    if (reached.ok && before.ok && reached.value === before.value && reached.value !== value) {
      // A driver that was loaded after the guest was reset has an empty balloon. One that is to be empty it has not to
      // change, and says nothing, while QEMU goes on telling what the driver before had taken. A little less makes it speak.
      const nudged = await this.#askBalloon(monitor.value, value - BALLOON_NUDGE_BYTES)
      reached = nudged.ok ? await this.#askBalloon(monitor.value, value) : nudged
    }
    if (!reached.ok || reached.value === value) return reached.ok ? ok() : reached
    const leaves = mebibytes(reached.value + added.value)
    return notYet(
      `The balloon leaves the guest ${leaves} and is to leave it ${mebibytes(value + added.value)}`,
      'balloon',
    )
  }

  /** Resolves to what the balloon leaves when it has followed, or when patience is at its end. */
  async #askBalloon(monitor: QmpClient, value: number): Promise<Result<number>> {
    const asked = await monitor.execute('balloon', { value })
    if (!asked.ok) return asked
    return this.#watch(
      () => this.#balloonActual(),
      (actual) => actual === value,
    )
  }

  /**
   * Asks for statistics from now on; called when the monitor is there and whenever the guest is let go on. Never of a
   * machine that waits for its guest: QEMU 10.0 then writes into the memory that is arriving, and the guest goes mad.
   */
  async begin(): Promise<void> {
    if (this.#isAsking || this.#options.record().launch.memoryMaxBytes === undefined) return
    const monitor = this.#options.monitor()
    if (!monitor.ok) return
    const state = await monitor.value.execute<{ readonly status: string }>('query-status')
    if (!state.ok || state.value.status === 'inmigrate' || this.#isAsking) return
    this.#isAsking = true
    const asked = await monitor.value.execute('qom-set', {
      ...{ path: `/machine/peripheral/${BALLOON_DEVICE}`, property: 'guest-stats-polling-interval' },
      value: STATISTICS_SECONDS,
    })
    if (!asked.ok) this.#options.log.warn('the guest cannot be asked for its memory', { error: asked.error })
  }

  async memoryUse(): Promise<Result<GuestMemoryUse | undefined>> {
    if (this.#options.record().launch.memoryMaxBytes === undefined) return ok(undefined)
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    const path = `/machine/peripheral/${BALLOON_DEVICE}`
    const answer = await monitor.value.execute<BalloonStatistics>('qom-get', { path, property: 'guest-stats' })
    return answer.ok ? ok(memoryUseFrom(answer.value)) : answer
  }

  /** Processors come and go as devices; a guest may give one back long after it was asked. */
  async #cpus(): Promise<Result<number>> {
    const { launch } = this.#options.record()
    if (launch.cpusMax === undefined) return ok(launch.cpus)
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    const plugged = await pluggedDevices(monitor.value)
    if (!plugged.ok) return plugged
    const cpus = cpusAmong(plugged.value)
    const noted = cpus === launch.cpus ? ok() : this.#note({ cpus })
    return noted.ok ? ok(cpus) : noted
  }

  #added(): Promise<Result<number>> {
    if (roomBytes(this.#options.record().launch) === 0) return Promise.resolve(ok(0))
    return this.#ask((monitor) =>
      monitor.execute<number>('qom-get', { path: `/machine/peripheral/${MEMORY_DEVICE}`, property: 'size' }),
    )
  }

  #balloonActual(): Promise<Result<number>> {
    return this.#ask(async (monitor) => {
      const told = await monitor.execute<{ readonly actual: number }>('query-balloon')
      return told.ok ? ok(told.value.actual) : told
    })
  }

  async #ask<T>(question: (monitor: QmpClient) => Promise<Result<T>>): Promise<Result<T>> {
    const monitor = this.#options.monitor()
    return monitor.ok ? question(monitor.value) : monitor
  }

  /** The last value that was seen. */
  async #watch(look: () => Promise<Result<number>>, isThere: (value: number) => boolean): Promise<Result<number>> {
    const endMs = performance.now() + PATIENCE_MS
    for (;;) {
      const seen = await look()
      if (!seen.ok || isThere(seen.value) || performance.now() > endMs) return seen
      await sleep(LOOK_MS)
    }
  }

  #note(change: { readonly cpus?: number; readonly memoryAddedBytes?: number }): Result<void> {
    const record = this.#options.record()
    return this.#options.save({ ...record, launch: { ...record.launch, ...change } })
  }
}

/** QEMU's `guest-stats`; a value that the guest does not tell is the largest of 64 bits. */
export interface BalloonStatistics {
  /** Seconds since 1970; 0 before the guest has told anything. */
  readonly 'last-update': number
  readonly stats: Readonly<Record<string, number>>
}

export function memoryUseFrom(answer: BalloonStatistics): GuestMemoryUse | undefined {
  if (answer['last-update'] === 0) return undefined
  const told = (name: string) => {
    const value = answer.stats[name]
    return value === undefined || value < 0 || value > Number.MAX_SAFE_INTEGER ? undefined : value
  }
  const [totalBytes, freeBytes] = [told('stat-total-memory'), told('stat-free-memory')]
  if (totalBytes === undefined || freeBytes === undefined) return undefined
  return { totalBytes, freeBytes, availableBytes: told('stat-available-memory') ?? freeBytes }
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`
}

function notYet(message: string, driver: string): Result<never> {
  return fail(
    failure('conflict', message, {
      hint: `It needs a system that runs, with a driver for ${driver}; it is asked again`,
    }),
  )
}

function outOfReach(what: string): Result<never> {
  return fail(
    failure('conflict', `The guest was not started for ${what}`, { hint: 'It has them after its next start' }),
  )
}
