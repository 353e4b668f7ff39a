/** `stead template build`: makes a root file system on this machine and imports it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { badArgument } from '../quantities.ts'
import { action, type Terminal } from '../session.ts'
import { buildBusyboxRoot } from '../template-build/busybox-root.ts'
import { buildDebianRoot } from '../template-build/debian-root.ts'
import { importTemplate } from './template-import.ts'

type Build = (work: string, signal: AbortSignal) => Promise<string>

const BUILDS: Readonly<Record<string, Build>> = {
  busybox: buildBusyboxRoot,
  'debian-12': (work, signal) => buildDebianRoot('bookworm', work, signal),
}

export function addTemplateBuild(template: Command, terminal: Terminal): void {
  const known = Object.keys(BUILDS).join(', ')
  template
    .command('build')
    .description('Make a root file system on this machine, and import it')
    .argument('<system>', known)
    .option('--name <name>', 'of the template; as the system when absent')
    .option('--version <version>', 'the day of the import when absent')
    .action(
      action(terminal, async (session, [system = ''], options) => {
        const build = Object.hasOwn(BUILDS, system) ? BUILDS[system] : undefined
        if (!build) throw badArgument(`There is no recipe for \`${system}\``, `Write one of: ${known}.`)
        const { name, version } = options as { readonly name?: string; readonly version?: string }
        // Before minutes of work.
        await session.client()
        const work = await mkdtemp(join(tmpdir(), 'stead-template-'))
        try {
          const archive = await build(work, session.signal)
          await importTemplate(session, archive, {
            name: name ?? system,
            ...(version === undefined ? {} : { version }),
          })
        } finally {
          await rm(work, { recursive: true, force: true })
        }
      }),
    )
}
