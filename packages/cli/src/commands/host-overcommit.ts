/** `host overcommit`: what `vzmemcheck` and `vzcpucheck` told of a node, of each host and of the cluster. */
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { OvercommitView } from '@stead/api/endpoints/counters.ts'
import { formatTable } from '../output.ts'
import { formatSize } from '../quantities.ts'
import { action, valueOf, type Terminal } from '../session.ts'

type Row = OvercommitView['rows'][number]

export function addHostOvercommit(host: Command, terminal: Terminal): void {
  host
    .command('overcommit')
    .description(ENDPOINTS['host.overcommit'].summary)
    .argument('[host]', "the host's name; all of them and the cluster when absent")
    .action(
      action(terminal, async (session, [name]) => {
        const client = await session.client()
        const query = name === undefined ? {} : { host: name }
        const answer = valueOf(await client.call(ENDPOINTS['host.overcommit'], { query }))
        session.warn(answer.silent.map((silent) => `${silent} did not answer and is not counted`))
        const reports = [...answer.hosts, ...(answer.cluster ? [{ ...answer.cluster, host: 'all hosts' }] : [])]
        session.print(answer, () => `${tableOf(reports)}${reports.flatMap(remarks).join('')}`)
      }),
    )
}

function tableOf(reports: readonly OvercommitView[]): string {
  const rows = reports.flatMap(({ host, rows: measures }) => measures.map((row) => ({ host, ...row })))
  return formatTable<Row & { readonly host: string }>(rows, [
    { title: 'HOST', of: ({ host }) => host },
    { title: 'MEASURE', of: ({ measure }) => measure },
    { title: 'CAPACITY', of: (row) => amount(row, row.capacity) },
    { title: 'USED', of: (row) => `${amount(row, row.used)} (${percent(row.utilization)})` },
    { title: 'PROMISED', of: (row) => `${amount(row, row.promised)} (${percent(row.commitment)})` },
    { title: 'MAY BE TAKEN', of: (row) => (row.allowed === null ? 'all of it' : amount(row, row.allowed)) },
    { title: 'LEVEL', of: ({ level }) => level },
  ])
}

function remarks({ host, oversold, tooLarge, vmMemoryBytes }: OvercommitView): string[] {
  return [
    ...(vmMemoryBytes > 0
      ? [`${host}: ${formatSize(vmMemoryBytes)} belong to virtual machines and are left out\n`]
      : []),
    ...(oversold ? [`${host} is oversold: more is promised than there is\n`] : []),
    ...(tooLarge.length > 0
      ? [`${host}: these alone may take more than 60 % of a host's memory: ${tooLarge.join(', ')}\n`]
      : []),
  ]
}

function amount({ measure }: Row, value: number): string {
  if (measure === 'processes') return String(value)
  return measure === 'cpu' ? `${Math.round(value)} units` : formatSize(Math.round(value))
}

function percent(part: number): string {
  return `${Math.round(part * 100)} %`
}
