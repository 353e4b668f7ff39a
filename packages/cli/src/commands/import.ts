/** Makes a cluster file of what other products have. Needs no cluster. */
import type { Command } from 'commander'
import { importFiles } from '../import/import-files.ts'
import { clusterFileText, leftOutText } from '../import/import-report.ts'
import { action, valueOf, type Terminal } from '../session.ts'

export function addImportCommand(program: Command, terminal: Terminal): void {
  program
    .command('import')
    .description('Print a cluster file of a Pacemaker CIB, or of files of Proxmox VE from /etc/pve/ha')
    .argument('<files...>', 'one CIB, or rules.cfg, groups.cfg and resources.cfg together')
    .option('--sizes <file>', 'for Proxmox VE: the output of `pvesh get /cluster/resources --output-format json`')
    .action(
      action(terminal, async (session, [paths], options) => {
        const sizes = options['sizes'] as string | undefined
        const { file, leftOut } = valueOf(await importFiles(paths as unknown as readonly string[], sizes))
        session.print(file, () => clusterFileText(file))
        session.note(leftOutText(file, leftOut))
      }),
    )
}
