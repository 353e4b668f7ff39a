/** The end of a migration that waits for the guest: a QEMU started with `-incoming defer`. */
import { failure } from '@stead/core/errors.ts'
import type { ArrivalEndpoint } from '@stead/core/ports/guest-migration.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { removeKey, useKey, type KeyOptions } from './migration-key.ts'
import { capabilities, channelParameters, extraChannels, migrationUri } from './migration-settings.ts'
import { query } from './migration-source.ts'
import { awaitMigration } from './migration-waiting.ts'
import type { QmpClient } from './qmp.ts'

/** What makes QEMU wait; where it listens is said later, so that no port needs to be chosen before. */
export const INCOMING_ARGUMENTS = ['-incoming', 'defer'] as const

export interface ListenAt {
  readonly address: string
  readonly secret: string
  readonly postCopy?: boolean
}

export class MigrationDestination {
  readonly #options: KeyOptions & { readonly memoryBytes: number; readonly monitor: () => Result<QmpClient> }

  constructor(options: KeyOptions & { readonly memoryBytes: number; readonly monitor: () => Result<QmpClient> }) {
    this.#options = options
  }

  async listen({ address, secret, postCopy = false }: ListenAt): Promise<Result<ArrivalEndpoint>> {
    const connected = this.#options.monitor()
    if (!connected.ok) return connected
    const monitor = connected.value
    const channels = extraChannels(this.#options.memoryBytes, postCopy)
    const refusal = postCopy ? await postCopyRefusal(monitor) : 'it was not asked to'
    const set = { channels, postCopy: refusal === undefined, end: 'destination' } as const
    const keyed = await useKey(monitor, this.#options, 'server', secret)
    if (!keyed.ok) return keyed
    for (const [command, args] of [
      ['migrate-set-capabilities', capabilities(set)],
      ['migrate-set-parameters', channelParameters(channels)],
      ['migrate-incoming', { uri: migrationUri(address, 0) }],
    ] as const) {
      const done = await monitor.execute(command, args)
      if (!done.ok) return done
    }
    const listening = await query(monitor)
    if (!listening.ok) return listening
    const port = Number(listening.value['socket-address']?.find(({ type }) => type === 'inet')?.port)
    if (!Number.isInteger(port)) return fail(failure('hypervisor', 'QEMU does not say where it listens'))
    return ok({
      ...{ address, port, secret },
      ...(channels > 0 ? { channels } : {}),
      ...(refusal === undefined ? {} : { postCopyRefusal: refusal }),
    })
  }

  /** Resolves once the guest is here: all that makes it run, though with post-copy not yet all of its memory. */
  async arrived(timeoutMs: number): Promise<Result<void>> {
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    return awaitMigration(
      monitor.value,
      async () => {
        const status = await monitor.value.execute<{ readonly status: string }>('query-status')
        if (!status.ok) return status
        if (status.value.status === 'inmigrate') return 'waiting'
        removeKey(this.#options.folder)
        return ok()
      },
      timeoutMs,
    )
  }
}

/** Why this host's kernel does not let QEMU fetch memory that the guest already wants; undefined when it does. */
async function postCopyRefusal(monitor: QmpClient): Promise<string | undefined> {
  const tried = await monitor.execute('migrate-set-capabilities', {
    capabilities: [{ capability: 'postcopy-ram', state: true }],
  })
  if (tried.ok) return undefined
  return `${tried.error.message} (unprivileged use of userfaultfd is off: see /proc/sys/vm/unprivileged_userfaultfd)`
}
