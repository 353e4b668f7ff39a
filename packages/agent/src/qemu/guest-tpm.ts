/**
 * A guest's TPM 2.0: swtpm beside its QEMU, in the same pid namespace and as the same user. swtpm keeps its state in a
 * file of the guest's folder; what must follow the guest is copied from there onto the mirrored volume with the role
 * `tpm` whenever it changes, through QEMU's own graph of that volume, and read from it before the next run. See
 * docs/internals/platform.md for what that means after a crash.
 */
import { chownSync, mkdirSync, readFileSync, watch, writeFileSync, type FSWatcher } from 'node:fs'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import type { GuestDisk, Leg } from '@stead/core/ports/guest-host.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { NbdClient } from '../nbd/nbd-client.ts'
import { startDetached } from '../process/detached.ts'
import { topNode, type DiskRecord } from './block-graph.ts'
import type { GuestFolder } from './launch-record.ts'
import type { QmpClient } from './qmp.ts'
import { queryStatus } from './run-state.ts'
import { decodeTpmState, encodeTpmState, slotOffset, TPM_VOLUME_BYTES, type TpmState } from './tpm-state.ts'

/** The name that swtpm gives to what a TPM 2.0 keeps when it has no power. */
const STATE_FILE = 'tpm2-00.permall'
/** swtpm writes several times for one command. */
const SETTLE_MS = 30

export interface TpmHost {
  /** Path of `stead-run-guest`. */
  readonly helper: string
  readonly user?: { readonly uid: number; readonly gid: number }
  readonly namespacePid?: number
}

/**
 * Makes the folder and starts swtpm, which ends with QEMU's connection. `disk`: where its state is read from; absent
 * for a guest that arrives by a live migration, in whose stream the state comes.
 */
export async function startTpm(folder: GuestFolder, disk: GuestDisk | undefined, host: TpmHost): Promise<Result<void>> {
  const { helper, user, namespacePid } = host
  const kept = disk ? await readState(disk.legs[0]) : ok(undefined)
  if (!kept.ok) return kept
  mkdirSync(folder.tpmFolder, { mode: 0o700 })
  const file = join(folder.tpmFolder, STATE_FILE)
  if (kept.value) writeFileSync(file, kept.value.content, { mode: 0o600 })
  if (user) for (const path of [folder.tpmFolder, ...(kept.value ? [file] : [])]) chownSync(path, user.uid, user.gid)
  const started = await startDetached(helper, {
    command: 'swtpm',
    args: [
      ...['socket', '--tpm2', '--terminate', '--tpmstate', `dir=${folder.tpmFolder},mode=0600`],
      ...['--ctrl', `type=unixio,path=${folder.tpmSocket},mode=0600`],
    ],
    pidFile: join(folder.path, 'swtpm.pid'),
    stdoutPath: folder.stdoutLog,
    stderrPath: folder.stderrLog,
    ...(user ? { user } : {}),
    ...(namespacePid ? { namespacePid } : {}),
  })
  return started.ok ? ok() : started
}

async function readState(leg: Leg | undefined): Promise<Result<TpmState | undefined>> {
  if (!leg) return fail(failure('internal', 'The volume of the TPM has no leg'))
  const client = await NbdClient.connect({ endpoint: leg.endpoint, exportName: leg.exportName })
  if (!client.ok) return client
  const bytes = await client.value.read(0, TPM_VOLUME_BYTES)
  await client.value.disconnect()
  return bytes.ok ? ok(decodeTpmState(bytes.value)) : bytes
}

/** Copies the state of a running TPM onto its volume, each time that it has changed. */
export class GuestTpm {
  readonly #folder: GuestFolder
  readonly #disk: DiskRecord
  readonly #monitor: () => Result<QmpClient>
  readonly #log: Log
  /** Of what is on the volume; undefined until it was looked up. */
  #generation: number | undefined
  #stored = ''
  #watcher: FSWatcher | undefined
  #timer: NodeJS.Timeout | undefined
  #storing: Promise<Result<void>> = Promise.resolve(ok())

  constructor(options: {
    readonly folder: GuestFolder
    readonly disk: DiskRecord
    readonly monitor: () => Result<QmpClient>
    readonly log: Log
  }) {
    this.#folder = options.folder
    this.#disk = options.disk
    this.#monitor = options.monitor
    this.#log = options.log
  }

  begin(): void {
    if (this.#watcher) return
    try {
      this.#watcher = watch(this.#folder.tpmFolder, () => {
        this.#timer ??= setTimeout(() => void this.store(), SETTLE_MS)
      })
    } catch (error) {
      this.#log.warn('the state of the TPM cannot be watched', { error })
    }
    void this.store()
  }

  /** One after the other; harmless when nothing has changed. */
  store(): Promise<Result<void>> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#storing = this.#storing.then(() => this.#storeNow())
    return this.#storing
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#watcher?.close()
  }

  async #storeNow(): Promise<Result<void>> {
    let content: Buffer
    try {
      content = readFileSync(join(this.#folder.tpmFolder, STATE_FILE))
    } catch {
      // Nothing was kept yet: the guest's firmware has not spoken with it.
      return ok()
    }
    const digest = content.toString('base64')
    if (digest === this.#stored) return ok()
    const monitor = this.#monitor()
    if (!monitor.ok) return monitor
    // On its way to or from another host its volumes are not this QEMU's to write: that is done when it runs here.
    const status = await queryStatus(monitor.value)
    if (!status.ok) return status
    if (status.value !== 'running' && status.value !== 'paused') return ok()
    // Whoever wrote last, another host or an earlier life of this agent: the number grows from there.
    if (this.#generation === undefined) {
      const kept = await readState(this.#disk.legs[0]?.leg)
      if (!kept.ok) return kept
      this.#generation = kept.value?.generation ?? 0
    }
    const generation = this.#generation + 1
    const slot = encodeTpmState({ generation, content })
    if (!slot.ok) return slot
    try {
      writeFileSync(this.#folder.tpmSlot, slot.value, { mode: 0o644 })
    } catch (cause) {
      return fail(failure('internal', `Cannot write ${this.#folder.tpmSlot}`, { cause }))
    }
    const offset = slotOffset(generation)
    const command = `qemu-io ${topNode(this.#disk.index)} "write -s ${this.#folder.tpmSlot} ${offset} ${slot.value.length}"`
    const said = await monitor.value.human(command)
    if (!said.ok || !said.value.includes(`wrote ${slot.value.length}/${slot.value.length} bytes`)) {
      this.#log.warn('the state of a TPM could not be kept', { said: said.ok ? said.value : said.error })
      return fail(failure('storage', 'The state of the TPM could not be kept', said.ok ? {} : { cause: said.error }))
    }
    this.#generation = generation
    this.#stored = digest
    return ok()
  }
}
