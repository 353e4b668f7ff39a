/**
 * The coordinator's part in the making of files, when the host that does it is lost: an import ends, since what there
 * was of it went with the host; a copy of disks is given to another host that has them.
 */
import { failure } from '../errors.ts'
import type { ClusterState, Versioned } from '../model/cluster.ts'
import { copyingHost, type DiskCopy } from '../model/disk-copy.ts'
import type { FileMaking } from '../model/file-making.ts'
import type { ImageImport } from '../model/image-import.ts'
import type { HostId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import type { Compare, Transaction } from '../ports/store.ts'
import { failedCopy, putCopy } from './copy-records.ts'
import type { HostContext } from './host-context.ts'
import { failedImport } from './import-records.ts'
import { watchRecords } from './record-watch.ts'

type LostMakingsContext = Pick<HostContext, 'store' | 'mirror' | 'events' | 'clock' | 'log'>

export class LostMakings {
  readonly #context: LostMakingsContext
  readonly #isCoordinating: () => boolean
  readonly #busy = new Set<string>()

  constructor(context: LostMakingsContext, isCoordinating: () => boolean) {
    this.#context = context
    this.#isCoordinating = isCoordinating
  }

  run(signal: AbortSignal): Promise<void> {
    return watchRecords(this.#context, (state) => this.#look(state), signal)
  }

  #look(state: ClusterState): void {
    if (!this.#isCoordinating()) return
    for (const seen of state.imports.values())
      this.#attend(state, seen, (still) => failedImport(this.#context, seen, importLost(seen.value), [still]))
    for (const seen of state.copies.values()) this.#attend(state, seen, (still) => this.#handedOn(state, seen, still))
  }

  #attend(state: ClusterState, { value }: Versioned<FileMaking>, end: (stillLost: Compare) => Transaction): void {
    const { host, id } = value
    if (!isLost(state, host) || this.#busy.has(id)) return
    this.#busy.add(id)
    // One that is heard again goes on with it.
    const stillLost = { key: KEYS.status(host), modRevision: state.statuses.get(host)?.revision ?? 0n }
    this.#context.store
      .transact(end(stillLost))
      .then((outcome) => {
        if (!outcome.ok)
          this.#context.log.warn('what a lost host was making could not be ended', {
            of: value.name,
            cause: outcome.error,
          })
      })
      .catch((error: unknown) => this.#context.log.error('what a lost host was making could not be ended', { error }))
      .finally(() => this.#busy.delete(id))
  }

  #handedOn(state: ClusterState, seen: Versioned<DiskCopy>, stillLost: Compare): Transaction {
    const isUp = (host: HostId) => state.statuses.get(host)?.value.state === 'online'
    const next = copyingHost(state, seen.value.volumes, isUp)
    if (next === undefined) return failedCopy(this.#context, seen, copyLost(seen.value), [stillLost])
    return {
      compares: [{ key: KEYS.diskCopy(seen.value.name), modRevision: seen.revision }, stillLost],
      writes: [putCopy({ ...seen.value, host: next, progress: { step: 'waiting' }, files: [] })],
    }
  }
}

function isLost(state: ClusterState, host: HostId): boolean {
  return !state.hosts.has(host) || state.statuses.get(host)?.value.state === 'lost'
}

function importLost({ host }: ImageImport) {
  return failure('host_unreachable', `${host}, which was importing it, is lost`, {
    hint: 'Import it again: another host does it, and asks for the upload if only the lost one had it.',
  })
}

function copyLost({ host }: DiskCopy) {
  return failure(
    'host_unreachable',
    `${host}, which was copying the disks, is lost, and no host that is up has them all`,
    {
      hint: 'Ask again once it is back',
    },
  )
}
