/**
 * QEMU's commit job of one volume: copies a layer into the one below it while the volume is served. One at a time; its
 * name says which layer, so that an agent that was restarted knows what it finds.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { StorageDaemon } from './storage-daemon.ts'

const POLL_MS = 100
const CANCEL_TIMEOUT_MS = 10_000
/** The guests on the pool come first. */
const BYTES_PER_SECOND = 128 << 20

export interface FoundJob {
  readonly id: string
  /** `collapse`: it copies the layer that the volume writes, and ends by writing to the lower one. */
  readonly kind: MergeKind
  readonly layerNode: string
  readonly status: string
  readonly error?: string
}

type MergeKind = 'merge' | 'collapse'

export class MergeJob {
  readonly #daemon: StorageDaemon
  readonly #volume: VolumeId

  constructor(daemon: StorageDaemon, volume: VolumeId) {
    this.#daemon = daemon
    this.#volume = volume
  }

  async find(): Promise<Result<FoundJob | undefined>> {
    const jobs = await this.#daemon.call<readonly { id: string; status: string; error?: string }[]>('query-jobs')
    if (!jobs.ok) return jobs
    for (const job of jobs.value) {
      const [kind, volume, layerNode = ''] = job.id.split('.')
      if (volume === this.#volume && (kind === 'merge' || kind === 'collapse')) return ok({ ...job, kind, layerNode })
    }
    return ok(undefined)
  }

  async start(kind: MergeKind, topNode: string, upperNode: string, lowerNode: string): Promise<Result<void>> {
    const started = await this.#daemon.call('block-commit', {
      'job-id': `${kind}.${this.#volume}.${upperNode}`,
      device: topNode,
      'top-node': upperNode,
      'base-node': lowerNode,
      speed: BYTES_PER_SECOND,
      'auto-dismiss': false,
    })
    return started.ok ? ok() : started
  }

  /** Until it has ended, or, when it copies what is being written, until it has caught up (`ready`). */
  async wait(): Promise<Result<'ready' | 'ended'>> {
    for (;;) {
      const job = await this.find()
      if (!job.ok) return job
      if (!job.value) return fail(failure('conflict', 'The merge was stopped'))
      if (job.value.status === 'ready') return ok('ready')
      if (job.value.status === 'concluded') {
        const { error } = job.value
        return error === undefined ? ok('ended') : fail(failure('storage', `The merge failed: ${error}`))
      }
      await sleep(POLL_MS)
    }
  }

  /** Of a job that is `ready`: the volume stands on the lower layer from now on. */
  async complete(id: string): Promise<Result<void>> {
    const asked = await this.#daemon.call('job-complete', { id })
    return asked.ok ? ok() : asked
  }

  async forget(): Promise<Result<void>> {
    const job = await this.find()
    if (!job.ok || !job.value) return job.ok ? ok() : job
    const dismissed = await this.#daemon.call('job-dismiss', { id: job.value.id })
    return dismissed.ok ? ok() : dismissed
  }

  /** Ends it, whatever it has done: the layers stay as they were, and the next one begins again. None: harmless. */
  async cancel(): Promise<Result<void>> {
    const deadlineMs = performance.now() + CANCEL_TIMEOUT_MS
    while (performance.now() < deadlineMs) {
      const job = await this.find()
      if (!job.ok || !job.value) return job.ok ? ok() : job
      const { id, status } = job.value
      // Refused when it is just ending by itself; the next look sees what became of it.
      if (status === 'concluded') await this.#daemon.call('job-dismiss', { id })
      else await this.#daemon.call('block-job-cancel', { device: id, force: true })
      await sleep(5)
    }
    return fail(failure('storage', 'A merge does not stop'))
  }
}
