/** `stead cluster recover`: the last host goes on alone. docs/operating/recovery.md. */
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { ResponseOf } from '@stead/api/endpoint.ts'
import { formatTable } from '../output.ts'
import { action, valueOf, type Terminal } from '../session.ts'

type Report = ResponseOf<(typeof ENDPOINTS)['cluster.recover']>

export function addClusterRecover(cluster: Command, terminal: Terminal): void {
  cluster
    .command('recover')
    .description(ENDPOINTS['cluster.recover'].summary)
    .requiredOption('--lost <hosts>', 'every other member, separated by commas: all are off, and none comes back')
    .option('--check', 'tell what would be left, and change nothing')
    .option('--give-up-secrets', 'go on although the secrets do not open: passwords and the like are set anew')
    .action(
      action(terminal, async (session, _args, options) => {
        const body = {
          lost: String(options['lost']).split(','),
          giveUpSecrets: options['giveUpSecrets'] === true,
          check: options['check'] === true,
        }
        const client = await session.client()
        const report = valueOf(await client.call(ENDPOINTS['cluster.recover'], { body }))
        session.print(report, () => reportText(report))
        if (report.done) session.note(AFTERWARDS)
      }),
    )
}

const SECRETS: Readonly<Record<Report['secrets'], string>> = {
  kept: 'Secrets: this host has their key, and goes on with them.',
  'given-up':
    'Secrets: given up. Another authority signs the hosts from now on; set passwords, second factors and the secrets of realms and webhooks anew.',
  locked: 'Secrets: they do not open here, since this host has begun anew after the loss: see `--give-up-secrets`.',
  unknown:
    'This host has begun anew without the others and has not read its records: what guests have is told when it goes on.',
}

const AFTERWARDS =
  'The agent of this host begins anew now. Wipe the lost hosts before they join again (their state folders and pools), ' +
  'and give each guest a second replica: `stead volume move VOLUME --to HOST`.'

function reportText({ host, lost, done, secrets, guests }: Report): string {
  const head = done
    ? `${host} goes on alone, without ${lost.join(', ')}.`
    : `${host} could go on alone, without ${lost.join(', ')}.`
  const rows = guests ?? []
  const table =
    rows.length === 0
      ? ''
      : formatTable(rows, [
          { title: 'GUEST', of: (row) => row.name },
          { title: 'COPIES', of: (row) => row.copies },
          { title: 'WHAT IS LEFT', of: (row) => row.text },
        ])
  return `${head}\n${SECRETS[secrets]}\n${table}${rows.length === 0 ? '' : UNKNOWN}`
}

const UNKNOWN =
  'Nobody here knows what the lost hosts wrote after this one had last heard of them. What is stale starts with `stead vm start NAME --accept-data-loss`.\n'
