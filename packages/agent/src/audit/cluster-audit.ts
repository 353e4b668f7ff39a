/** The audit of the whole cluster: this host's chain, held against those of the others, and brought up to date from them. */
import type { AuditLink } from '@stead/core/model/audit.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { ok, type Result } from '@stead/core/result.ts'
import type { AuditLog, ChainCheck } from './audit-log.ts'

const LINKS_AT_ONCE = 500
const LOOK_MS = 2_000
/** Hosts that are away for a while may have what is missing. */
const NOBODY_HAS_MS = 10 * 60_000
const PRUNE_MS = 60_000
/** Entries that stay in the outbox: what a host that is up, and only slow, still finds there. */
const OUTBOX_KEPT = 1_000
const PRUNED_AT_ONCE = 100
/** A chain is read whole. */
const CHECK_MS = 60_000

type AuditCall = 'audit-links' | 'audit-check' | 'audit-hash'

export interface AuditContext {
  readonly self: HostId
  readonly log: AuditLog
  readonly store: Store
  readonly clock: Clock
  readonly agentLog: Log
  readonly isCoordinating: () => boolean
  /** Other hosts that are online. */
  readonly others: () => readonly HostId[]
  readonly call: (host: HostId, name: AuditCall, input: unknown, timeoutMs?: number) => Promise<Result<unknown>>
}

export interface HostAudit {
  readonly host: string
  readonly entries: number | null
  readonly problem: string | null
}

export class ClusterAudit {
  readonly #context: AuditContext

  constructor(context: AuditContext) {
    this.#context = context
  }

  get log(): AuditLog {
    return this.#context.log
  }

  /** Each chain by itself, and then all against each other, up to where all of them reach. */
  async verify(): Promise<HostAudit[]> {
    const { self, log, others, call } = this.#context
    const checks = await Promise.all([
      log.check().then((check) => ({ host: self, check })),
      ...others().map(async (host) => {
        const answer = await call(host, 'audit-check', {}, CHECK_MS)
        return { host, check: answer.ok ? (answer.value as ChainCheck) : undefined }
      }),
    ])
    const whole = checks.flatMap(({ host, check }) => (check && !check.problem ? [{ host, check }] : []))
    const common = Math.min(...whole.map(({ check }) => check.sequence))
    const hashes = new Map<HostId, string>()
    if (common > 0 && whole.length > 1)
      for (const { host } of whole) {
        const hash = host === self ? ok(log.at(common)?.hash) : await call(host, 'audit-hash', common)
        if (hash.ok) hashes.set(host, String(hash.value))
      }
    return checks.map(({ host, check }) => ({
      host,
      entries: check?.entries ?? null,
      problem: check ? (check.problem ?? disagreement(host, hashes, common)) : 'it did not answer',
    }))
  }

  /** Fetches what this host lacks, and on the coordinator empties the outbox; until the signal aborts. */
  async keep(signal: AbortSignal): Promise<void> {
    const { clock, agentLog } = this.#context
    let behindMs = 0
    let prunedMs = clock.monotonicMs()
    while (!signal.aborted) {
      try {
        if (this.log.isBehind) await this.catchUp()
        behindMs = this.log.isBehind ? behindMs + LOOK_MS : 0
        if (behindMs >= NOBODY_HAS_MS) {
          agentLog.error('what is missing of the audit is on no host; it goes on without', { after: this.log.sequence })
          this.log.beginAfterBase()
          await this.catchUp()
        }
        if (this.#context.isCoordinating() && clock.monotonicMs() - prunedMs >= PRUNE_MS) {
          prunedMs = clock.monotonicMs()
          await this.prune()
        }
      } catch (error) {
        agentLog.error('the audit is not kept up', { error })
      }
      await clock.sleep(LOOK_MS, signal)
    }
  }

  /** From the first host whose entries lead to what the store knows; then those that are still in the outbox. */
  async catchUp(): Promise<void> {
    const { log, store, others, agentLog } = this.#context
    const { base } = log
    if (base)
      for (const host of others()) {
        const links = await this.#linksOf(host, base.sequence)
        if (links.length === 0) continue
        if (log.takeOver(links, base)) break
        agentLog.error("another host's audit is not the one that the store knows", { host })
      }
    if (log.isBehind) return
    const outbox = await store.range(KEYS.audit(''))
    if (outbox.ok) log.append(outbox.value.entries)
  }

  async #linksOf(host: HostId, until: number): Promise<(AuditLink & { readonly key: string })[]> {
    const links: (AuditLink & { readonly key: string })[] = []
    for (let after = this.log.sequence; after < until; after = links.at(-1)?.sequence ?? until) {
      const limit = Math.min(LINKS_AT_ONCE, until - after)
      const answer = await this.#context.call(host, 'audit-links', { after, limit })
      if (!answer.ok) return []
      const found = answer.value as (AuditLink & { readonly key: string })[]
      if (found.length === 0) return []
      links.push(...found)
    }
    return links
  }

  /** All hosts that follow the store have had these entries for long; the others find the base, and fetch. */
  async prune(kept: number = OUTBOX_KEPT): Promise<void> {
    const { log, store } = this.#context
    const outbox = await store.range(KEYS.audit(''))
    const known = await store.get(KEYS.auditBase)
    if (!outbox.ok || !known.ok || log.isBehind) return
    const links = outbox.value.entries.flatMap(({ key }) => {
      const link = log.byKey(key)
      return link ? [{ key, link }] : []
    })
    const old = links.toSorted((a, b) => a.link.sequence - b.link.sequence).slice(0, -kept)
    for (const batch of chunks(old, PRUNED_AT_ONCE)) {
      const last = batch.at(-1)?.link
      if (!last) return
      const base = await store.get(KEYS.auditBase)
      if (!base.ok) return
      const outcome = await store.transact({
        compares: [{ key: KEYS.auditBase, modRevision: base.value?.modRevision ?? 0n }],
        writes: [
          {
            kind: 'put',
            key: KEYS.auditBase,
            value: JSON.stringify({ sequence: last.sequence, hash: last.hash }),
          },
          ...batch.map(({ key }) => ({ kind: 'delete' as const, key })),
        ],
      })
      if (!outcome.ok || !outcome.value.committed) return
    }
  }

  /** What a host answers to the others. */
  get calls() {
    const { log } = this.#context
    return {
      'audit-links': async (input: unknown) => {
        const { after, limit } = input as { after: number; limit: number }
        return ok(log.after(Number(after), Math.min(Number(limit), LINKS_AT_ONCE)))
      },
      'audit-check': async () => ok(await log.check()),
      'audit-hash': async (sequence: unknown) => ok(log.at(Number(sequence))?.hash ?? ''),
    }
  }
}

/** Where not all have the same, the fewer are told; where there are as many on each side, all are. */
function disagreement(host: HostId, hashes: ReadonlyMap<HostId, string>, sequence: number): string | null {
  const own = hashes.get(host)
  if (own === undefined) return null
  const same = [...hashes.values()].filter((hash) => hash === own).length
  if (same === hashes.size || same > hashes.size - same) return null
  const differing = [...hashes].filter(([, hash]) => hash !== own).map(([name]) => name)
  return `entry ${sequence} is not that of ${differing.join(', ')}`
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  )
}
