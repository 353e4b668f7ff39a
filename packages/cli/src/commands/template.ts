/** `stead template`: root file systems that containers start from. Templates of VMs are guests: `vm-template.ts`. */
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { ResponseOf } from '@stead/api/endpoint.ts'
import { formatFields, formatTable } from '../output.ts'
import { formatSize } from '../quantities.ts'
import { action, valueOf, type Terminal } from '../session.ts'
import { addImportCancel } from './image.ts'
import { addTemplateBuild } from './template-build.ts'
import { addTemplateImport } from './template-import.ts'
import { addTemplateKeys } from './template-key.ts'

type Template = ResponseOf<(typeof ENDPOINTS)['template.show']>

export function addTemplateCommands(program: Command, terminal: Terminal): void {
  const template = program.command('template').description('Root file systems that containers start from')
  addTemplateImport(template, terminal)
  addTemplateBuild(template, terminal)
  addImportCancel(template, terminal)
  addTemplateKeys(template, terminal)
  template
    .command('list')
    .description(ENDPOINTS['template.list'].summary)
    .action(
      action(terminal, async (session) => {
        const client = await session.client()
        const { items } = valueOf(await client.call(ENDPOINTS['template.list']))
        session.print(items, () =>
          formatTable(items, [
            { title: 'NAME', of: (row) => row.name },
            { title: 'VERSION', of: (row) => `${row.version}${row.newest ? ' *' : ''}` },
            { title: 'SYSTEM', of: systemOf },
            { title: 'ARCHITECTURE', of: (row) => row.architecture },
            { title: 'CONTENT', of: (row) => formatSize(row.contentBytes) },
            { title: 'CREATED', of: (row) => new Date(row.createdAt).toISOString() },
          ]),
        )
      }),
    )
  template
    .command('show')
    .description(ENDPOINTS['template.show'].summary)
    .argument('<template>', 'NAME, which is its newest version, or NAME@VERSION')
    .action(
      action(terminal, async (session, [name = '']) => {
        const client = await session.client()
        const found = valueOf(await client.call(ENDPOINTS['template.show'], { params: { template: name } }))
        session.print(found, () => templateText(found))
      }),
    )
  template
    .command('delete')
    .description(ENDPOINTS['template.delete'].summary)
    .argument('<template>', 'NAME, which is its newest version, or NAME@VERSION')
    .action(
      action(terminal, async (session, [name = '']) => {
        const client = await session.client()
        valueOf(await client.call(ENDPOINTS['template.delete'], { params: { template: name } }))
        session.print({ deleted: name }, () => `template ${name} deleted\n`)
      }),
    )
}

function systemOf({ os, form }: Template): string {
  return os === '' && form === 'oci' ? 'application' : os
}

function templateText(found: Template): string {
  return formatFields([
    ['Template', `${found.name}@${found.version}${found.newest ? ' (newest)' : ''}`],
    ['System', systemOf(found)],
    ['Architecture', found.architecture],
    ['Init', (found.system.init ?? ['/sbin/init']).join(' ')],
    ['Halt signal', found.system.haltSignal],
    ['User', found.process?.user ?? null],
    ['Folder', found.process?.folder ?? null],
    ['Environment', found.process?.environment.join(' ') ?? null],
    ['Content', `${formatSize(found.contentBytes)} in ${found.files} files`],
    ['Image', `${formatSize(found.imageBytes)}, ${found.blob}`],
    ['Signed by', found.signedBy ?? null],
    ['Made of', `sha256:${found.sourceDigest} (${found.form})`],
    ['Created', new Date(found.createdAt).toISOString()],
  ])
}
