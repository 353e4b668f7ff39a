/**
 * What is known of the I/O errors that stop one guest, since its last resume. QEMU's events alone do not do: it
 * sends BLOCK_IO_ERROR of a device at most once a second and holds a second one back, which would then arrive when
 * the guest runs again. So the guest's state says *that* it is stopped by an error; events only say more about it.
 */
import type { VolumeId } from '@stead/core/model/ids.ts'
import { topNode, type DiskRecord } from './block-graph.ts'
import type { Monitor } from './mirror-surgery.ts'
import type { QmpEvent } from './qmp.ts'

/** QEMU 10's limit for BLOCK_IO_ERROR; within that time after an error, silence proves nothing. */
const EVENT_HELD_BACK_MS = 1_000

export class IoErrors {
  readonly #reasons = new Map<VolumeId, string>()
  readonly #told = new Set<VolumeId>()
  readonly #hosts = new Set<string>()
  #lastAt = Number.NEGATIVE_INFINITY

  /** Takes note of an event. True when the guest was told to be stopped already: another disk failed too. */
  note({ event, data }: QmpEvent, disks: readonly DiskRecord[]): boolean {
    switch (event) {
      case 'QUORUM_REPORT_BAD': {
        const host = disks.flatMap((disk) => disk.legs).find((leg) => leg.node === data['node-name'])?.leg.host
        // A read that fails on one leg is answered by the next: the guest runs on, the next write tells.
        if (host !== undefined && data['type'] !== 'read') this.#hosts.add(host)
        return false
      }
      case 'BLOCK_IO_ERROR': {
        const disk = disks.find((each) => topNode(each.index) === data['node-name'])
        this.#lastAt = performance.now()
        if (disk) this.#reasons.set(disk.volume, `A ${String(data['operation'])} failed: ${String(data['reason'])}`)
        return this.#told.size > 0
      }
      case 'RESUME':
        for (const known of [this.#reasons, this.#told, this.#hosts]) known.clear()
        return false
      default:
        return false
    }
  }

  /** True when no unseen error can have happened lately. */
  get quiet(): boolean {
    return performance.now() - this.#lastAt > EVENT_HELD_BACK_MS
  }

  /** Of a guest that an error has stopped: the failures that were not taken yet. Each is given once a pause. */
  async takeNew(
    monitor: Monitor,
    disks: readonly DiskRecord[],
  ): Promise<readonly { readonly volume: VolumeId; readonly reason: string; readonly hosts: readonly string[] }[]> {
    const failed = (await this.#failedDisks(monitor, disks)).filter((disk) => !this.#told.has(disk.volume))
    return failed.map(({ volume }) => {
      this.#told.add(volume)
      return { volume, reason: this.#reasons.get(volume) ?? 'A read or a write failed', hosts: [...this.#hosts] }
    })
  }

  /**
   * Where QEMU has sent no event, all disks that ever failed: QEMU 10 does not reset `io-status` of devices on named
   * nodes. Better one disk too many than a guest that stays paused because nobody was told.
   */
  async #failedDisks(monitor: Monitor, disks: readonly DiskRecord[]): Promise<readonly DiskRecord[]> {
    const known = disks.filter((disk) => this.#reasons.has(disk.volume))
    if (known.length > 0) return known
    const devices = await monitor.execute<readonly BlockDevice[]>('query-block')
    const failed = devices.ok
      ? devices.value.filter((device) => device['io-status'] && device['io-status'] !== 'ok')
      : []
    const tops = new Set(failed.map((device) => device.inserted?.['node-name']))
    const found = disks.filter((disk) => tops.has(topNode(disk.index)))
    return found.length > 0 ? found : disks
  }
}

interface BlockDevice {
  readonly 'io-status'?: 'ok' | 'failed' | 'nospace'
  readonly inserted?: { readonly 'node-name'?: string }
}
