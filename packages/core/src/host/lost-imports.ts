/** The coordinator's part in imports: those of a host that is lost end. What it had made went with it. */
import { failure } from '../errors.ts'
import type { ClusterState, Versioned } from '../model/cluster.ts'
import type { ImageImport } from '../model/image-import.ts'
import { KEYS } from '../model/keys.ts'
import type { HostContext } from './host-context.ts'
import { failedImport } from './import-records.ts'
import { watchRecords } from './record-watch.ts'

type LostImportsContext = Pick<HostContext, 'store' | 'mirror' | 'events' | 'clock' | 'log'>

export class LostImports {
  readonly #context: LostImportsContext
  readonly #isCoordinating: () => boolean
  readonly #busy = new Set<string>()

  constructor(context: LostImportsContext, isCoordinating: () => boolean) {
    this.#context = context
    this.#isCoordinating = isCoordinating
  }

  run(signal: AbortSignal): Promise<void> {
    return watchRecords(this.#context, (state) => this.#look(state), signal)
  }

  #look(state: ClusterState): void {
    if (state.imports.size === 0 || !this.#isCoordinating()) return
    for (const seen of state.imports.values()) {
      const { host, id } = seen.value
      const isLost = !state.hosts.has(host) || state.statuses.get(host)?.value.state === 'lost'
      if (!isLost || this.#busy.has(id)) continue
      this.#busy.add(id)
      this.#end(state, seen)
        .catch((error: unknown) => this.#context.log.error('an import could not be ended', { import: id, error }))
        .finally(() => this.#busy.delete(id))
    }
  }

  async #end(state: ClusterState, seen: Versioned<ImageImport>): Promise<void> {
    const { store, log } = this.#context
    const { host, name } = seen.value
    const error = failure('host_unreachable', `${host}, which was importing it, is lost`, {
      hint: 'Import it again: another host does it, and asks for the upload if only the lost one had it.',
    })
    // One that is heard again goes on with it.
    const stillLost = { key: KEYS.status(host), modRevision: state.statuses.get(host)?.revision ?? 0n }
    const outcome = await store.transact(failedImport(this.#context, seen, error, [stillLost]))
    if (!outcome.ok) log.warn('the end of an import could not be recorded', { import: name, cause: outcome.error })
  }
}
