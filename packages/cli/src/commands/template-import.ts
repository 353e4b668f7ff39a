/** `stead template import`: an archive on its way to becoming a template of containers. */
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { failure, FailureError } from '@stead/core/errors.ts'
import { digestOf, fileHead, uploadBlob } from '../blob-upload.ts'
import { badArgument, formatSize } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { finished, COPY_PATIENCE_MS, settle } from '../waiting.ts'

/** What is sent beside the archive. */
interface TemplateWords {
  readonly name: string
  readonly version?: string
  readonly init?: string[]
  readonly haltSignal?: string
  readonly signature?: string
  readonly project?: string
}

export function addTemplateImport(template: Command, terminal: Terminal): void {
  template
    .command('import')
    .description('Upload an archive of a root file system, of an application, or of a saved container')
    .argument('<file>', 'a tar, plain or packed with gzip, xz or zstd')
    .argument('<name>', 'lower-case letters, digits, dots and dashes')
    .option('--version <version>', 'the day of the import when absent')
    .option('--sha256 <digest>', 'what the file must be; nothing is sent otherwise')
    .option('--signature <file>', 'of the file, as `ssh-keygen -Y sign -n stead-template` writes it')
    .option('--init <command>', 'the first process, words apart by blanks, where it is not /sbin/init')
    .option('--halt-signal <signal>', 'on which that shuts the system down: SIGPWR, SIGRTMIN+3')
    .option('--project <name>', "whose it is to be; the cluster's when absent")
    .action(
      action(terminal, async (session, [file = '', name = ''], options) => {
        await fileHead(file)
        await checkDigest(file, options['sha256'])
        const text = (option: string) => (typeof options[option] === 'string' ? options[option] : undefined)
        const [version, init, haltSignal] = [text('version'), text('init'), text('haltSignal')]
        const project = text('project')
        await importTemplate(session, file, {
          name,
          ...(version === undefined ? {} : { version }),
          ...(init === undefined ? {} : { init: init.split(' ').filter((word) => word !== '') }),
          ...(haltSignal === undefined ? {} : { haltSignal }),
          ...(await signatureIn(options['signature'])),
          ...(project === undefined ? {} : { project }),
        })
      }),
    )
}

export async function importTemplate(session: Session, file: string, said: TemplateWords): Promise<void> {
  const client = await session.client()
  const blob = await uploadBlob(session, client, file, said.project)
  const begun = valueOf(await client.call(ENDPOINTS['template.import'], { body: { ...said, blob } }))
  const operation = await settle(session, client, begun.operation, COPY_PATIENCE_MS)
  if (operation.state !== 'succeeded') return finished(session, operation, '')
  const params = { template: begun.template }
  const template = valueOf(await client.call(ENDPOINTS['template.show'], { params }))
  const { devicesLeftOut: left } = template
  if (left) session.note(`left out, since every container has its own /dev: ${left.count} devices (${left.first}, ...)`)
  const size = formatSize(template.contentBytes)
  session.print({ template, operation }, () => `template ${begun.template} imported, ${size}; ${operation.message}\n`)
}

/** What is in the file that an option names, if it does. */
export async function signatureIn(file: unknown): Promise<{ signature?: string }> {
  if (typeof file !== 'string') return {}
  try {
    return { signature: await readFile(file, 'utf8') }
  } catch (cause) {
    throw new FailureError(failure('bad_request', `${file} cannot be read`, { cause }))
  }
}

async function checkDigest(file: string, said: unknown): Promise<void> {
  if (typeof said !== 'string') return
  const wanted = said.toLowerCase().replace(/^sha256:/, '')
  if (!/^[0-9a-f]{64}$/.test(wanted))
    throw badArgument(`--sha256: \`${said}\` is no SHA-256`, 'Write its 64 hexadecimal digits.')
  const found = await digestOf(file)
  if (found === `sha256:${wanted}`) return
  throw new FailureError(
    failure('invalid_image', `${file} is not the file that was meant: its SHA-256 is ${found.slice(7)}`, {
      hint: 'Download it again, and take the digest from where you trust it.',
    }),
  )
}
