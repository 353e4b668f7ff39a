/** A volume always has a current replica, and one that leaves takes no redundancy along that its move has not replaced. */
import { PREFIX } from '@stead/core/model/keys.ts'
import { inSync, isWhole, replicaOn } from '@stead/core/model/records.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import type { Transaction } from '@stead/core/ports/store.ts'
import type { Evidence } from './evidence.ts'

const VOLUMES = `${PREFIX}volumes/`

export class KeptReplicas {
  readonly #evidence: Evidence
  readonly #volumes = new Map<string, Volume>()

  constructor(evidence: Evidence) {
    this.#evidence = evidence
  }

  committed({ writes }: Transaction): void {
    for (const write of writes) {
      if (write.kind === 'delete-prefix' || !write.key.startsWith(VOLUMES)) continue
      const next = write.kind === 'put' ? (JSON.parse(write.value) as Volume) : undefined
      const old = this.#volumes.get(write.key)
      if (next) this.#volumes.set(write.key, next)
      else this.#volumes.delete(write.key)
      if (old && next) this.#changed(old, next)
    }
  }

  #changed(old: Volume, next: Volume): void {
    const { violate } = this.#evidence
    if (inSync(old).length > 0 && inSync(next).length === 0) violate(`${next.id} has no current replica any more`)
    for (const { host, pool } of inSync(old)) {
      const now = replicaOn(next, host)
      const isChanged = now !== undefined && now.pool !== pool
      if (isChanged && (old.move?.incoming?.pool !== now.pool || !isWhole(old)))
        violate(`the current replica of ${next.id} on ${host} has changed its pool, and nothing was ready for that`)
      if (now) continue
      // Users write past this check: what they asked for is in the later record.
      const { to, from } = next.move ?? {}
      if (from !== host) violate(`the current replica of ${next.id} on ${host} has left, and nobody asked for it`)
      if (to !== undefined && !inSync(next).some((replica) => replica.host === to))
        violate(`the current replica of ${next.id} on ${host} has left before the one on ${to} was current`)
    }
  }
}
