/** `ct import`: a container of OpenVZ or Proxmox VE, of its configuration and an archive of its content. */
import { readFile, stat } from 'node:fs/promises'
import type { Command } from 'commander'
import { failure, FailureError } from '@stead/core/errors.ts'
import { fail, type Result } from '@stead/core/result.ts'
import { fileHead } from '../blob-upload.ts'
import { configInArchive } from '../import/archive-config.ts'
import { makeFromArchive, type ArchiveRoot } from '../import/container-from-archive.ts'
import { requestOf, type ContainerRequest } from '../import/container-request.ts'
import type { ContainerImport, ImportRemark } from '../import/container-wish.ts'
import { importOpenVz } from '../import/openvz-container.ts'
import { importProxmoxContainer } from '../import/proxmox-container.ts'
import { harmlessSentence } from '../harmless-text.ts'
import { badArgument } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { signatureIn } from './template-import.ts'
import { addMakingOptions, choicesFrom, type MakingOptions } from './ct-making-options.ts'

const CONFIG_BYTES_MAX = 2 ** 20

export function addCtImport(ct: Command, terminal: Terminal): void {
  const command = ct
    .command('import')
    .description('Make a container of one of OpenVZ or Proxmox VE; says first what becomes of each of its settings')
    .argument('[conf]', "CTID.conf of OpenVZ, or ID.conf of Proxmox VE; the dump's own when absent")
    .option('--root <archive>', 'a tar of its root or private area')
    .option('--dump <archive>', 'what vzdump has made')
    .option('--name <name>', 'its name here; that of the file when absent')
    .option('--dry-run', 'only say what would become of each setting')
  addMakingOptions(command).action(
    action(terminal, async (session, [conf], options) => {
      const said = options as unknown as MakingOptions & Record<string, unknown>
      const archive = said['root'] ?? said['dump']
      if (typeof archive !== 'string' || (said['root'] !== undefined && said['dump'] !== undefined))
        throw badArgument('Either --root or --dump is needed', 'Give the archive with its content; see --help.')
      await fileHead(archive)
      const read = valueOf(await configOf(session, conf, archive))
      const request = valueOf(requestOf(read.wish, choicesFrom(said)))
      const report = {
        name: request.body.name,
        taken: read.taken,
        changed: [...read.changed, ...request.changed],
        leftOut: [...read.leftOut, ...request.leftOut],
      }
      if (said['dryRun'] === true || said['whatIf'] === true) {
        session.print({ ...report, request: request.body }, () => `${reportText(report)}\nNothing was made.\n`)
        return
      }
      session.note(reportText(report))
      await make(
        session,
        { file: archive, project: said.project, ...(await signatureIn(said['signature'])) },
        request,
        report,
      )
    }),
  )
}

async function make(
  session: Session,
  archive: ArchiveRoot,
  request: ContainerRequest,
  report: { readonly taken: unknown; readonly changed: unknown; readonly leftOut: unknown },
): Promise<void> {
  const made = await makeFromArchive(session, await session.client(), archive, request)
  const done = request.body.start ? 'imported and started' : 'imported'
  session.print({ ...made, report }, () => `ct ${request.body.name} ${done}\n`)
}

async function configOf(session: Session, conf: string | undefined, archive: string): Promise<Result<ContainerImport>> {
  if (conf !== undefined) {
    const text = await readConfig(conf)
    // OpenVZ's are of the shell: NAME="value". Proxmox VE's are `name: value`.
    return /^\s*(export\s+)?[A-Z_]+=/m.test(text) ? importOpenVz(text, conf) : importProxmoxContainer(text, conf)
  }
  const config = valueOf(await configInArchive(archive, session.signal))
  if (config?.by === 'openvz') return importOpenVz(config.text, archive)
  if (config?.by === 'proxmox') return importProxmoxContainer(config.text, archive)
  const hint = config ? 'Use `stead ct restore NAME FILE`.' : 'Name the file with its configuration first.'
  const what = config ? 'is a dump of Stead itself' : 'holds no configuration'
  return fail(failure('bad_request', `${archive} ${what}`, { hint }))
}

async function readConfig(path: string): Promise<string> {
  try {
    if ((await stat(path)).size > CONFIG_BYTES_MAX) throw new Error('it is too large to be a configuration')
    return await readFile(path, 'utf8')
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new FailureError(failure('bad_request', `${path} cannot be read: ${why}`, { cause }))
  }
}

function reportText(report: {
  readonly name: string
  readonly taken: readonly ImportRemark[]
  readonly changed: readonly ImportRemark[]
  readonly leftOut: readonly ImportRemark[]
}): string {
  return [
    `${harmlessSentence(report.name)} is made of it.`,
    ...section('Taken over', report.taken),
    ...section('Changed its meaning', report.changed),
    ...section('Left out', report.leftOut),
  ].join('\n')
}

/** What others have written stays in its line. */
function section(title: string, remarks: readonly ImportRemark[]): string[] {
  if (remarks.length === 0) return []
  const lines = remarks.map(({ what, where, text }) => `  ${[what, `(${where})`].join(' ')}: ${text}`)
  return [`${title}:`, ...lines.map((line) => `  ${harmlessSentence(line).trim()}`)]
}
