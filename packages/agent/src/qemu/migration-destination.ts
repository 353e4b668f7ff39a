/** The end of a migration that waits for the guest: a QEMU started with `-incoming defer`. */
import { failure } from '@stead/core/errors.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ArrivalEndpoint, MemoryState, RestEndpoint } from '@stead/core/ports/guest-migration.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { removeKey, useKey, type KeyOptions } from './migration-key.ts'
import { capabilities, channelParameters, extraChannels, migrationUri } from './migration-settings.ts'
import { query } from './migration-source.ts'
import { awaitMigration } from './migration-waiting.ts'
import type { QmpClient } from './qmp.ts'

/** What makes QEMU wait; where it listens is said later, so that no port needs to be chosen before. */
export const INCOMING_ARGUMENTS = ['-incoming', 'defer'] as const

/** QEMU needs a moment to see that a connection is gone. */
const PAUSE_MS_MAX = 3_000
const PAUSE_LOOK_MS = 50

export interface ListenAt {
  readonly address: string
  readonly secret: string
  readonly postCopy?: boolean
  readonly compressed?: boolean
}

export class MigrationDestination {
  readonly #options: KeyOptions & { readonly memoryBytes: number; readonly monitor: () => Result<QmpClient> }

  constructor(options: KeyOptions & { readonly memoryBytes: number; readonly monitor: () => Result<QmpClient> }) {
    this.#options = options
  }

  async listen({ address, secret, postCopy = false, compressed = false }: ListenAt): Promise<Result<ArrivalEndpoint>> {
    const connected = this.#options.monitor()
    if (!connected.ok) return connected
    const monitor = connected.value
    const channels = extraChannels(this.#options.memoryBytes, { postCopy, compressed })
    const streams = channels === 0 ? {} : { channels, ...(compressed ? { compressed } : {}) }
    const refusal = postCopy ? await postCopyRefusal(monitor) : 'it was not asked to'
    const set = { channels, postCopy: refusal === undefined, end: 'destination' } as const
    const keyed = await useKey(monitor, this.#options, 'server', secret)
    if (!keyed.ok) return keyed
    for (const [command, args] of [
      ['migrate-set-capabilities', capabilities(set)],
      ['migrate-set-parameters', channelParameters(streams)],
      ['migrate-incoming', { uri: migrationUri(address, 0) }],
    ] as const) {
      const done = await monitor.execute(command, args)
      if (!done.ok) return done
    }
    const port = await listeningPort(monitor)
    if (!port.ok) return port
    return ok({
      ...{ address, port: port.value, secret },
      ...streams,
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
        const incoming = await query(monitor.value)
        // The source may have to connect once more for the rest.
        if (!(incoming.ok && isIncomplete(incoming.value.status))) removeKey(this.#options.folder)
        return ok()
      },
      timeoutMs,
    )
  }

  /** While a page is missing QEMU's own loop may stand still and answer nothing: only its events tell then. */
  async awaitMemory(known: MemoryState, signal: AbortSignal): Promise<Result<MemoryState>> {
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    const { folder } = this.#options
    return new Promise((resolve) => {
      const end = (result: Result<MemoryState>) => {
        offEvent()
        offClose()
        signal.removeEventListener('abort', abort)
        if (result.ok && result.value === 'here') removeKey(folder)
        resolve(result)
      }
      const take = (status: string | undefined) => {
        const now = memoryStateOf(status)
        if (now !== known) end(ok(now))
      }
      const abort = () => end(fail(failure('timeout', 'Nobody waits for the memory any more')))
      const offEvent = monitor.value.onEvent(
        ({ event, data }) => event === 'MIGRATION' && take(String(data?.['status'])),
      )
      const offClose = monitor.value.onClose(() => end(fail(failure('hypervisor', 'QEMU has ended'))))
      signal.addEventListener('abort', abort)
      if (signal.aborted) return abort()
      void query(monitor.value).then((found) => found.ok && take(found.value.status))
    })
  }

  /** Past the loop, which may wait for a page that only this brings. */
  async listenAgain(address: string): Promise<Result<RestEndpoint>> {
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    // It may not have noticed yet that the source has lost it; refused when it has.
    await monitor.value.executeOutOfBand('migrate-pause')
    const before = performance.now()
    for (;;) {
      const listening = await monitor.value.executeOutOfBand('migrate-recover', { uri: migrationUri(address, 0) })
      if (listening.ok) break
      if (performance.now() - before > PAUSE_MS_MAX) return listening
      await sleep(PAUSE_LOOK_MS)
    }
    const port = await listeningPort(monitor.value)
    return port.ok ? ok({ address, port: port.value }) : port
  }
}

function memoryStateOf(status: string | undefined): MemoryState {
  if (status === 'postcopy-paused') return 'interrupted'
  return isIncomplete(status) ? 'coming' : 'here'
}

function isIncomplete(status: string | undefined): boolean {
  return status?.startsWith('postcopy-') === true
}

async function listeningPort(monitor: QmpClient): Promise<Result<number>> {
  const listening = await query(monitor)
  if (!listening.ok) return listening
  // The newest is the first of them.
  const port = Number(listening.value['socket-address']?.find(({ type }) => type === 'inet')?.port)
  return Number.isInteger(port) ? ok(port) : fail(failure('hypervisor', 'QEMU does not say where it listens'))
}

/** Why this host's kernel does not let QEMU fetch memory that the guest already wants; undefined when it does. */
async function postCopyRefusal(monitor: QmpClient): Promise<string | undefined> {
  const tried = await monitor.execute('migrate-set-capabilities', {
    capabilities: [{ capability: 'postcopy-ram', state: true }],
  })
  if (tried.ok) return undefined
  return `${tried.error.message} (the guests' user may not open /dev/userfaultfd, and vm.unprivileged_userfaultfd is off)`
}
