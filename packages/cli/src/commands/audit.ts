/** `stead audit`: who did what, and what was refused. */
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { pipeline } from 'node:stream/promises'
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { AuditEntryView } from '@stead/api/endpoints/audit.ts'
import { failure, FailureError } from '@stead/core/errors.ts'
import { AUDIT_BEGINNING, linkInput, type AuditLink } from '@stead/core/model/audit.ts'
import { formatTable } from '../output.ts'
import { parseCount, parseSince } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'

const FILTERS = ['who', 'what', 'subject', 'project'] as const

export function addAuditCommands(program: Command, terminal: Terminal): void {
  const audit = program.command('audit').description('Who did what, and what was refused')
  const list = audit
    .command('list')
    .description(ENDPOINTS['audit.list'].summary)
    .option('--since <when>', '10m, 2h, or a time')
    .option('--denials', 'only what was not permitted')
    .option('--limit <n>', 'at most so many, 1000 at most', '100')
    .option('--before <n>', 'only those before this place of the chain')
  for (const name of FILTERS) list.option(`--${name} <text>`, 'only those that have just this there')
  list.action(action(terminal, (session, _, options) => listEntries(session, options)))
  audit
    .command('export')
    .description('Write the whole audit with its chain to a file, one JSON document a line')
    .argument('<file>', 'made, and must not exist')
    .action(
      action(terminal, async (session, [file = '']) => {
        const client = await session.client()
        const { body } = valueOf(await client.stream(ENDPOINTS['audit.export'], {}))
        await pipeline(body, createWriteStream(file, { flags: 'wx', mode: 0o600 }))
        session.print({ file }, () => `the audit is in ${file}\n`)
      }),
    )
  audit
    .command('verify')
    .description(ENDPOINTS['audit.verify'].summary)
    .option('--file <file>', 'check a file of `audit export` instead, without the cluster')
    .action(
      action(terminal, (session, _, { file }) =>
        typeof file === 'string' ? verifyFile(session, file) : verify(session),
      ),
    )
}

async function listEntries(session: Session, options: Readonly<Record<string, unknown>>): Promise<void> {
  const client = await session.client()
  const { since, denials, limit, before } = options
  const query = {
    ...Object.fromEntries(
      FILTERS.flatMap((name) => (typeof options[name] === 'string' ? [[name, options[name]]] : [])),
    ),
    ...(typeof since === 'string' ? { since: parseSince(since, Date.now()) } : {}),
    ...(denials === true ? { kind: 'denial' as const } : {}),
    ...(typeof before === 'string' ? { before: parseCount(before, '--before') } : {}),
    limit: parseCount(String(limit), '--limit'),
  }
  const { items, next } = valueOf(await client.call(ENDPOINTS['audit.list'], { query }))
  session.print({ items, next }, () =>
    formatTable<AuditEntryView>(items, [
      { title: 'NUMBER', of: (row) => row.sequence },
      { title: 'TIME', of: (row) => row.time },
      { title: 'WHO', of: (row) => row.who },
      { title: 'FROM', of: (row) => row.from },
      { title: 'KIND', of: (row) => row.kind },
      { title: 'WHAT', of: (row) => row.what },
      { title: 'SUBJECT', of: (row) => row.subject },
      { title: 'CHANGED', of: (row) => row.message || row.changes.map(({ record }) => record).join(', ') },
    ]),
  )
}

async function verify(session: Session): Promise<void> {
  const client = await session.client()
  const { ok, hosts } = valueOf(await client.call(ENDPOINTS['audit.verify']))
  const table = formatTable(hosts, [
    { title: 'HOST', of: (row) => row.host },
    { title: 'ENTRIES', of: (row) => row.entries },
    { title: 'CHAIN', of: (row) => row.problem ?? 'whole' },
  ])
  if (ok) return session.print({ ok, hosts }, () => table)
  const wrong = hosts.flatMap(({ host, problem }) => (problem === null ? [] : [`${host}: ${problem}`]))
  throw new FailureError(
    failure('conflict', `The audit is not whole: ${wrong.join('; ')}`, { hint: HINT, cause: hosts }),
  )
}

const HINT = 'Compare with an earlier export: `stead audit verify --file`; the other hosts have the whole chain'

/** As the hosts do it, by what the file says alone. */
async function verifyFile(session: Session, file: string): Promise<void> {
  let [hash, sequence] = [AUDIT_BEGINNING, 0]
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const link = JSON.parse(line) as AuditLink
    hash = createHash('sha256').update(linkInput(hash, link)).digest('hex')
    if (link.sequence !== sequence + 1 || link.hash !== hash)
      throw new FailureError(
        failure('conflict', `Entry ${sequence + 1} of ${file} is missing, not what was written, or not in its place`, {
          hint: HINT,
        }),
      )
    sequence = link.sequence
  }
  session.print({ entries: sequence, hash }, () => `${sequence} entries, whole; the last hash is ${hash}\n`)
}
