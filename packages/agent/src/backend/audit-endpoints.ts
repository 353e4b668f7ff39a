/** The audit, as it is asked for. */
import type { AuditEntryView } from '@stead/api/endpoints/audit.ts'
import type { AuditEntry, AuditLink } from '@stead/core/model/audit.ts'
import { ok } from '@stead/core/result.ts'
import type { AuditLog } from '../audit/audit-log.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Desk } from './desk.ts'

const EXPORTED_AT_ONCE = 200

export function auditEndpoints({
  context: { auditChain: audit },
}: Desk): Pick<ApiBackend, `audit.${'list' | 'export' | 'verify'}`> {
  return {
    'audit.list': async ({ query }) => {
      const { limit, ...filters } = query
      const given = Object.fromEntries(Object.entries(filters).filter(([, value]) => value !== undefined))
      const links = audit.log.list({ ...given, limit })
      const last = links.at(-1)?.sequence
      return ok({ items: links.map(entryView), next: links.length < limit || last === undefined ? null : last })
    },
    'audit.export': async ({ query }) => ok(linesAfter(audit.log, query.after)),
    'audit.verify': async () => {
      const hosts = await audit.verify()
      return ok({ ok: hosts.every(({ problem }) => problem === null), hosts })
    },
  }
}

async function* linesAfter(log: AuditLog, first: number): AsyncGenerator<Uint8Array> {
  for (let after = first; ;) {
    const links = log.after(after, EXPORTED_AT_ONCE)
    if (links.length === 0) return
    const lines = links.map(({ sequence, revision, text, hash }) => JSON.stringify({ sequence, revision, text, hash }))
    yield new TextEncoder().encode(`${lines.join('\n')}\n`)
    after = links.at(-1)?.sequence ?? after
  }
}

function entryView({ sequence, text, hash }: AuditLink): AuditEntryView {
  const { time, who, from, host, kind, what, subject, ...rest } = JSON.parse(text) as AuditEntry
  const { project = null, operation = null, message = '', changes = [] } = rest
  return {
    ...{ sequence, time, who, from, host, kind, what, subject, project, operation, message, hash },
    changes: changes.map(({ record, before, after }) => ({ record, before, after })),
  }
}
