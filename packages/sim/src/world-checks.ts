/** What must hold in every world at every moment. Looks at the store's and the disks' true content. */
import type { HostId, VolumeId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { inSync } from '@stead/core/model/records.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Process } from './memory-guest-host.ts'
import { numbersIn, SLOTS } from './world-storage.ts'

export interface WorldChecksOptions {
  readonly clock: Clock
  readonly record: <T>(key: string) => T | undefined
  readonly contentOf: (host: HostId, volume: VolumeId) => Uint8Array | undefined
}

export class WorldChecks {
  /** One sentence each; empty in a world in which nothing went wrong. */
  readonly violations: string[] = []
  readonly #options: WorldChecksOptions
  /** Per volume and slot: the highest number that the guest was told is safe. */
  readonly #safe = new Map<VolumeId, number[]>()
  /** `export name` -> the one host that may write through it. */
  readonly #writers = new Map<string, string>()

  constructor(options: WorldChecksOptions) {
    this.#options = options
  }

  watchVolume(volume: VolumeId): void {
    this.#safe.set(
      volume,
      Array.from({ length: SLOTS }, () => 0),
    )
  }

  violate(sentence: string): void {
    if (this.violations.length < 20)
      this.violations.push(`at ${this.#options.clock.monotonicMs().toFixed(0)} ms: ${sentence}`)
  }

  acknowledgedOf(volume: VolumeId): number {
    return Math.max(0, ...(this.#safe.get(volume) ?? []))
  }

  started(host: HostId, { launch, pid, acknowledged }: Process): void {
    for (const disk of launch.disks) {
      const name = `vol-${disk.volume}-e${launch.epoch}`
      const writer = this.#writers.get(name)
      if (writer !== undefined)
        this.violate(`${name} was opened by ${writer} and is now opened by ${host}/${pid}: two writers of one epoch`)
      this.#writers.set(name, `${host}/${pid}`)
      const found = acknowledged.get(disk.volume) ?? 0
      const safe = this.acknowledgedOf(disk.volume)
      if (found < safe) this.violate(`${launch.name} begins on ${host} at write ${found}, but ${safe} was acknowledged`)
    }
  }

  written(writer: HostId, volume: VolumeId, exportName: string): void {
    const opened = this.#writers.get(exportName)
    if (opened?.split('/')[0] !== writer)
      this.violate(`${writer} writes to ${exportName} of ${volume}, which ${opened ?? 'nobody'} opened`)
  }

  acknowledge(volume: VolumeId, value: number): void {
    const safe = this.#safe.get(volume)
    if (!safe) return
    safe[value % SLOTS] = Math.max(safe[value % SLOTS] ?? 0, value)
    this.#look(volume)
  }

  look(): void {
    for (const volume of this.#safe.keys()) this.#look(volume)
  }

  /** For a moment at which nobody writes: all current replicas hold the same. */
  assertEqual(volume: VolumeId): void {
    const record = this.#options.record<Volume>(KEYS.volume(volume))
    if (!record) return
    const [first, ...others] = inSync(record)
    if (!first) return
    const expected = this.#options.contentOf(first.host, volume)
    for (const other of others) {
      const content = this.#options.contentOf(other.host, volume)
      if (!expected || !content || expected.some((byte, at) => byte !== content[at]))
        this.violate(
          `${volume} differs: ${first.host} holds ${numbersIn(expected).join(' ')}, ${other.host} holds ${numbersIn(content).join(' ')}`,
        )
    }
  }

  /** Every acknowledged write is on every replica that the record calls current. */
  #look(volume: VolumeId): void {
    const record = this.#options.record<Volume>(KEYS.volume(volume))
    const safe = this.#safe.get(volume)
    if (!record || !safe) return
    for (const replica of inSync(record)) {
      const numbers = numbersIn(this.#options.contentOf(replica.host, volume))
      for (const [slot, value] of safe.entries()) {
        if ((numbers[slot] ?? 0) < value)
          return this.violate(
            `write ${value} of ${volume} was acknowledged, but the current replica on ${replica.host} holds ${numbers[slot]} there`,
          )
      }
    }
  }
}
