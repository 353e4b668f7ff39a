/** One writer per volume and epoch, and none of an older epoch once the replica's host can know of a newer one. */
import type { Grant } from '@stead/core/model/grant.ts'
import type { HostId, VolumeId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import type { Process } from '../memory-machine.ts'
import type { Written } from '../world-storage.ts'
import type { Evidence } from './evidence.ts'

/** From the moment at which a storage host has read a newer grant: how long it may take to cut off older runs. */
const REVOCATION_MS_MAX = 400

export class OneWriter {
  readonly #evidence: Evidence
  /** Export name to the one process that may write through it. */
  readonly #writers = new Map<string, string>()
  /** `host volume` to the newest grant that the host's agent has read, and when. */
  readonly #known = new Map<string, { readonly epoch: number; readonly sinceMs: number }>()

  constructor(evidence: Evidence) {
    this.#evidence = evidence
  }

  started(host: HostId, { launch, pid }: Process): void {
    for (const { volume } of launch.disks) {
      const name = `vol-${volume}-e${launch.epoch}`
      const writer = this.#writers.get(name)
      if (writer !== undefined)
        this.#evidence.violate(
          `${name} was opened by ${writer} and is now opened by ${host}/${pid}: two writers of one epoch`,
        )
      this.#writers.set(name, `${host}/${pid}`)
    }
  }

  /** The agent of a storage host has read these grants. */
  learned(host: HostId, grants: Iterable<Grant>, volumesOf: (grant: Grant) => readonly VolumeId[]): void {
    const nowMs = this.#evidence.clock.monotonicMs()
    for (const grant of grants)
      for (const volume of volumesOf(grant)) {
        const key = `${host} ${volume}`
        if ((this.#known.get(key)?.epoch ?? 0) < grant.epoch)
          this.#known.set(key, { epoch: grant.epoch, sinceMs: nowMs })
      }
  }

  /** The host's agent or its storage was disturbed: it gets the whole time again. */
  disturbed(host: HostId): void {
    for (const key of this.#known.keys()) if (key.startsWith(`${host} `)) this.#known.delete(key)
  }

  written({ writer, host, volume, exportName, epoch }: Written): void {
    const { violate, record, clock } = this.#evidence
    const opened = this.#writers.get(exportName)
    if (opened?.split('/')[0] !== writer)
      violate(`${writer} writes to ${exportName} of ${volume}, which ${opened ?? 'nobody'} opened`)
    const known = this.#known.get(`${host} ${volume}`)
    if (known && epoch < known.epoch && clock.monotonicMs() - known.sinceMs > REVOCATION_MS_MAX)
      violate(
        `${writer} wrote at epoch ${epoch} to ${volume} on ${host}, which has known of epoch ${known.epoch} for ${Math.round(clock.monotonicMs() - known.sinceMs)} ms`,
      )
    const newest = record<Grant>(KEYS.grant(record<Volume>(KEYS.volume(volume))?.guest as Grant['guest']))
    if (newest && epoch > newest.epoch)
      violate(`${writer} wrote to ${volume} at epoch ${epoch}, which was never granted`)
  }
}
