/** A volume always has a current replica, and one that leaves takes no redundancy along that its move has not replaced. */
import { PREFIX } from '@stead/core/model/keys.ts'
import { inSync, isWhole, replicaOn } from '@stead/core/model/records.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import type { Transaction, Write } from '@stead/core/ports/store.ts'
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
      if (old && next && old.form === 'subvolume') this.#rootChanged(old, next, writes)
      else if (old && next) this.#changed(old, next)
    }
  }

  /** A user writes past this check; of a root that is moved the record does not say so any more once it has left. */
  asked(writes: readonly Write[]): void {
    for (const write of writes) {
      if (write.kind !== 'put' || !write.key.startsWith(VOLUMES)) continue
      const asked = JSON.parse(write.value) as Volume
      if (asked.form === 'subvolume') this.#volumes.set(write.key, asked)
    }
  }

  /** A native root is at one host, and leaves it for where a copy of it is: by a move, or set aside as a volume of its own. */
  #rootChanged(old: Volume, next: Volume, writes: Transaction['writes']): void {
    const { violate } = this.#evidence
    const [before, now] = [inSync(old), inSync(next)]
    if (now.length !== 1) return violate(`the root ${next.id} is on ${now.length} hosts`)
    const [from, to] = [before[0]?.host, now[0]?.host]
    if (from === to) return
    if (old.copies?.every(({ host }) => host !== to)) violate(`the root ${next.id} is on ${to}, where no copy was`)
    const isAside = writes.some((write) => {
      const { takesOver, replicas } = write.kind === 'put' ? (JSON.parse(write.value) as Partial<Volume>) : {}
      return takesOver === old.id && replicas?.[0]?.host === from
    })
    const isMoved = old.move?.from === from && old.move?.to === to
    if (isAside === isMoved) violate(`the root ${next.id} has left ${from}, and nobody asked for it`)
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
