/**
 * The keys of the secrets as this agent has them, and what is asked of them: sealing and opening wait for a moment, since an
 * agent that has just begun is asking for shares.
 */
import { failure } from '@stead/core/errors.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { HostRole } from '@stead/core/model/host.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { Vault as VaultRecord } from '@stead/core/model/vault.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { KeyRing } from './key-ring.ts'
import type { KeyLine } from './key-shares.ts'

/** Of a request. Hosts that are up answer within milliseconds. */
const WAIT_MS = 3_000
const LOOK_MS = 20

export interface VaultOptions {
  readonly self: HostId
  readonly role: HostRole
  readonly mirror: Pick<ClusterMirror, 'state' | 'loaded'>
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
}

export class Vault {
  readonly #options: VaultOptions
  #ring: KeyRing | undefined
  #keyId = ''
  #line: KeyLine | undefined

  constructor(options: VaultOptions) {
    this.#options = options
  }

  /** Undefined while it has not the present key. */
  get ring(): KeyRing | undefined {
    return this.#keyId === this.#options.mirror.state.vault?.value.keyId ? this.#ring : undefined
  }

  /** By which others are given shares of the present key. */
  get line(): KeyLine | undefined {
    return this.ring && this.#line
  }

  /** The present key, found right. With it the older ones are there. */
  take({ generation, keyId, retired }: Pick<VaultRecord, 'generation' | 'keyId' | 'retired'>, line: KeyLine): void {
    const present = new KeyRing(generation, line.key)
    const older = retired.flatMap(({ generation: old, sealedKey }) => {
      const key = present.open(sealedKey, placeOfKey(old))
      return key.ok ? [[old, Buffer.from(key.value, 'hex')] as const] : []
    })
    this.#ring = new KeyRing(generation, line.key, new Map(older))
    this.#line = line
    this.#keyId = keyId
  }

  /** Undefined: secrets are not sealed yet in this cluster. */
  async toSeal(): Promise<Result<KeyRing | undefined>> {
    const { mirror } = this.#options
    const known = await this.#until(() => {
      if (this.ring) return this.ring
      return mirror.loaded && mirror.state.vault === undefined ? 'none' : undefined
    })
    if (known === 'none') return ok(undefined)
    return known ? ok(known) : fail(this.#locked())
  }

  /** A ring that has keys of all these generations. */
  async toOpen(generations: ReadonlySet<number>): Promise<Result<KeyRing>> {
    const fits = (ring: KeyRing | undefined) =>
      ring && [...generations].every((generation) => ring.has(generation)) ? ring : undefined
    const ring = await this.#until(() => fits(this.#ring))
    return ring ? ok(ring) : fail(this.#locked())
  }

  /** At once, for what cannot wait. */
  openNow(text: string, place: string): Result<string> {
    return this.#ring ? this.#ring.open(text, place) : fail(this.#locked())
  }

  sealNow(text: string, place: string): string {
    return this.ring?.seal(text, place) ?? text
  }

  async #until<T>(look: () => T | undefined): Promise<T | undefined> {
    const { clock, role } = this.#options
    const deadline = clock.monotonicMs() + WAIT_MS
    for (;;) {
      const found = look()
      if (found !== undefined || role === 'witness' || clock.monotonicMs() >= deadline) return found
      await clock.sleep(LOOK_MS)
    }
  }

  #locked() {
    const { self, role } = this.#options
    return role === 'witness'
      ? failure('secrets_locked', `${self} is a witness and never has the key of the secrets`, {
          hint: 'Ask a host that runs guests',
        })
      : failure(
          'secrets_locked',
          `${self} has not the key of the secrets yet: it asks the other hosts for their shares`,
        )
  }
}

/** For which an older key is sealed by the present one. */
export function placeOfKey(generation: number): string {
  return `vault key ${generation}`
}
