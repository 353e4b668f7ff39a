/**
 * What every agent does for the vault: has its key put together of the members' shares, and, where it is the keeper,
 * makes the keys, gives shares to who has none, and seals what is not sealed by the present key. docs/internals/secrets.md.
 */
import type { Versioned } from '@stead/core/model/cluster.ts'
import { secretKeeper, type Vault as VaultRecord } from '@stead/core/model/vault.ts'
import type { Failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { membershipOf, MEMBERSHIP_KEY, readMembership, type Membership } from '../membership/membership.ts'
import { gatherKey } from './key-gathering.ts'
import { giveShares, isNewKeyDue, makeKey, type KeyWanted } from './key-making.ts'
import type { KeyRing } from './key-ring.ts'
import { sealFile } from './sealed-file.ts'
import { Resealing } from './resealing.ts'
import type { VaultContext } from './vault-context.ts'

const LOOK_MS = 500
/** Between two looks of the keeper at the members, which change by agents that begin anew. */
const KEEP_MS = 5_000
const AGAIN_MS = 1_000
/** A member that is up and takes no share may run an older version; each try writes to the disks of the others. */
const NEXT_KEY_MS = 15_000
const NEXT_KEY_AFTER_REMOVAL_MS = 3_000
const RESEAL_MS = 60_000
/** The store of one host, brought back alone after a disaster, may be some moments behind what the others had. */
const OLD_SHARES_MS = 30_000
const OWN_COPY_MS = 5_000
const BEFORE_END_MS = 5_000

export class VaultKeeper {
  readonly #context: VaultContext
  readonly #resealing: Resealing
  #told = ''
  #openSinceMs: number | undefined
  #keepAtMs = 0
  #resealAtMs = 0
  #nextKeyAtMs = 0
  #noKey: Failure | undefined
  #filesSealedBy: KeyRing | undefined
  #sealFilesAtMs = 0

  constructor(context: VaultContext) {
    this.#context = context
    this.#resealing = new Resealing(context)
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#context
    while (!signal.aborted) {
      try {
        await this.look()
      } catch (error) {
        log.error('the keys of the secrets could not be looked after', { error })
      }
      await clock.sleep(LOOK_MS, signal)
    }
  }

  /**
   * The members have changed, and this agent is about to begin anew, with nothing in memory: where it is the last one that
   * has the key, there must be another before.
   */
  async beforeEnd(): Promise<void> {
    const { clock, log } = this.#context
    this.#keepAtMs = 0
    const looked = this.look().catch((error: unknown) => log.error('the secrets got no new key', { error }))
    await Promise.race([looked, clock.sleep(BEFORE_END_MS)])
  }

  async look(): Promise<void> {
    const { self, role, mirror, vault, clock } = this.#context
    if (!mirror.loaded) return
    const record = mirror.state.vault
    if (record) this.#dropOld(record.value)
    if (role === 'witness') return
    if (record && !vault.ring) {
      const gathered = await gatherKey(this.#context, record.value)
      if (!gathered.ok) return this.#tell('this host has not the key of the secrets yet', gathered.error)
      this.#keepAtMs = this.#resealAtMs = 0
      this.#tell(`this host has the key of the secrets${record.value.keeping === 'beside' ? BESIDE : ''}`)
    }
    if (vault.ring) this.#sealFiles(vault.ring)
    if (secretKeeper(mirror.state) !== self || clock.monotonicMs() < this.#keepAtMs) return
    const kept = await this.#keep(record)
    if (!kept.ok) this.#tell('the secrets are not sealed as they should be yet', kept.error)
    this.#keepAtMs = clock.monotonicMs() + (kept.ok ? KEEP_MS : AGAIN_MS)
  }

  async #keep(record: Versioned<VaultRecord> | undefined): Promise<Result<void>> {
    const { store, config, clock } = this.#context
    const found = await store.get(MEMBERSHIP_KEY)
    if (!found.ok) return found
    const membership: Membership = found.value ? readMembership(found.value.value) : membershipOf(config)
    const due = isNewKeyDue(record?.value, membership)
    const made = due
      ? await this.#newKey({ record, membership, due, membershipRevision: found.value?.modRevision ?? 0n })
      : ok()
    if (!made.ok && !record) return made
    // While there is no better one, the present key goes on.
    if (record && (!due || !made.ok)) await giveShares(this.#context, record, membership)
    if (clock.monotonicMs() < this.#resealAtMs) return made
    const resealed = await this.#resealing.all()
    if (resealed.ok) this.#resealAtMs = clock.monotonicMs() + RESEAL_MS
    return made.ok ? resealed : made
  }

  async #newKey(wanted: KeyWanted): Promise<Result<void>> {
    const { mirror, clock } = this.#context
    if (this.#noKey && clock.monotonicMs() < this.#nextKeyAtMs) return fail(this.#noKey)
    const made = await makeKey(this.#context, wanted)
    if (!made.ok) {
      this.#noKey = made.error
      const pauseMs = wanted.due === 'removal' ? NEXT_KEY_AFTER_REMOVAL_MS : NEXT_KEY_MS
      if (made.error.code === 'host_unreachable') this.#nextKeyAtMs = clock.monotonicMs() + pauseMs
      return made
    }
    await mirror.until(({ vault }) => vault?.value.keyId === made.value, clock.sleep(OWN_COPY_MS))
    this.#resealAtMs = 0
    return ok()
  }

  /** Also what a set-up or an older agent has written meanwhile. */
  #sealFiles(ring: KeyRing): void {
    const { files, clock } = this.#context
    if (ring === this.#filesSealedBy && clock.monotonicMs() < this.#sealFilesAtMs) return
    this.#filesSealedBy = ring
    this.#sealFilesAtMs = clock.monotonicMs() + RESEAL_MS
    for (const file of files) {
      const sealed = sealFile(file, ring)
      if (!sealed.ok) this.#tell(`${file.path} does not open and stays as it is`, sealed.error)
    }
  }

  #dropOld(record: VaultRecord): void {
    const { clock, held, role, vault } = this.#context
    const isHere = role === 'witness' ? held.find(record.keyId) !== undefined : vault.ring !== undefined
    if (!isHere) this.#openSinceMs = undefined
    else this.#openSinceMs ??= clock.monotonicMs()
    if (this.#openSinceMs !== undefined && clock.monotonicMs() - this.#openSinceMs >= OLD_SHARES_MS)
      held.dropOlder(record)
  }

  /** Once, until something else is to be told. */
  #tell(message: string, cause?: Failure): void {
    const text = `${message} ${cause?.message ?? ''}`
    if (text === this.#told) return
    this.#told = text
    const { log, mirror } = this.#context
    if (cause) log.warn(message, { cause })
    else log.info(message, { generation: mirror.state.vault?.value.generation })
  }
}

const BESIDE = ', which lies beside them: fewer than three members cannot share it'
