import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { ClusterView } from '@stead/api/cluster-view.ts'
import type { ClusterCheck } from '@stead/api/views.ts'
import { clusterFileText } from '../import/import-report.ts'
import { formatFields, formatTable } from '../output.ts'
import { formatSize } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { finished, settle } from '../waiting.ts'
import { addClusterRecover } from './cluster-recover.ts'

export function addClusterCommands(program: Command, terminal: Terminal): void {
  const cluster = program.command('cluster').description('The cluster as a whole')
  cluster.command('show').description(ENDPOINTS['cluster.show'].summary).action(action(terminal, showCluster))
  const address = cluster
    .command('address')
    .description("The cluster's own address on the LAN, at which some host always answers")
  address
    .command('set')
    .description('Have one host at a time answer at this address as well')
    .argument('<address>', 'IPv4, of the LAN, which no machine has')
    .action(action(terminal, (session, [clusterAddress = '']) => setAddress(session, clusterAddress)))
  address
    .command('clear')
    .description('Have no host answer at it any more')
    .action(action(terminal, (session) => setAddress(session, null)))
  cluster.command('check').description(ENDPOINTS['cluster.check'].summary).action(action(terminal, checkCluster))
  cluster
    .command('export')
    .description(ENDPOINTS['cluster.export'].summary)
    .action(
      action(terminal, async (session) => {
        const client = await session.client()
        const file = valueOf(await client.call(ENDPOINTS['cluster.export']))
        session.print(file, () => clusterFileText(file))
      }),
    )
  addClusterRecover(cluster, terminal)
  program
    .command('failover')
    .description(ENDPOINTS['cluster.failover'].summary)
    .requiredOption('--confirm-dead <host>', 'the host; make sure that it is off and stays off')
    .action(
      action(terminal, async (session, _args, options) => {
        const confirmDead = String(options['confirmDead'])
        const client = await session.client()
        const answer = valueOf(await client.call(ENDPOINTS['cluster.failover'], { body: { confirmDead } }))
        finished(session, await settle(session, client, answer.operation), `host ${confirmDead} confirmed dead`)
      }),
    )
}

async function setAddress(session: Session, clusterAddress: string | null): Promise<void> {
  const client = await session.client()
  const view = valueOf(await client.call(ENDPOINTS['policy.set'], { body: { clusterAddress } }))
  const text =
    clusterAddress === null ? 'the cluster has no address of its own' : `the cluster answers at ${clusterAddress}`
  session.print(view, () => `${text}\n`)
}

async function showCluster(session: Session): Promise<void> {
  const client = await session.client()
  const view = valueOf(await client.call(ENDPOINTS['cluster.show']))
  session.print(view, () => {
    const fields = formatFields([
      ['name', view.name],
      ['id', view.id],
      ['coordinator', view.coordinator],
      ['term', view.term],
      ...(view.address ? [['address', addressText(view.address)] as const] : []),
      ['answered by', view.answeredBy],
      ['hosts', `${view.hosts.online} of ${view.hosts.total} online`],
      ['guests', `${view.guests.total}, ${view.guests.running} running, ${view.guests.waiting} waiting`],
      ['protection', [view.protection.level, view.protection.reason].filter(Boolean).join(': ')],
      ['detection', `${view.detectionMs} ms`],
      ['heartbeat key', heartbeatKeyText(view.heartbeatKey)],
      ['secrets', secretsText(view.secrets)],
      ['created', view.createdAt],
    ])
    return fields + view.warnings.map((warning) => `warning: ${warning}\n`).join('')
  })
}

function secretsText({ state, holders, sharesNeeded }: ClusterView['secrets']): string {
  if (state === 'clear') return 'not sealed yet'
  if (state === 'key-beside') return `sealed, the key beside them on ${holders.join(', ')}`
  return `sealed, ${sharesNeeded} of ${holders.length} shares needed (${holders.join(', ')})`
}

function addressText({ address, holder }: NonNullable<ClusterView['address']>): string {
  return holder === null ? `${address}, at no host for the moment` : `${address}, at ${holder}`
}

function heartbeatKeyText({ changedAt, knownBy, waitsFor }: ClusterView['heartbeatKey']): string {
  const since = changedAt === null ? 'as the cluster was made with' : `replaced ${changedAt}`
  if (knownBy.length === 0) return since
  const waits = waitsFor.length === 0 ? '' : `, until ${waitsFor.join(', ')} has the new one`
  return `${since}; the one that ${knownBy.join(', ')} knows still counts${waits}`
}

/** Of `cluster check` when it found something; documented in docs/operating/cli.md. */
const FOUND_EXIT_CODE = 11

async function checkCluster(session: Session): Promise<void> {
  const client = await session.client()
  const check = valueOf(await client.call(ENDPOINTS['cluster.check']))
  session.print(check, () => checkText(check))
  if (!check.ok) session.terminal.setExitCode(FOUND_EXIT_CODE)
}

function checkText({ admission, violations, contradictions, balance }: ClusterCheck): string {
  const hosts = admission.hostFailures === 1 ? 'any one host' : `any ${admission.hostFailures} hosts`
  const planned =
    admission.checked === admission.possible
      ? ''
      : ` (${admission.checked} of ${admission.possible} losses were planned)`
  const losses =
    admission.note !== ''
      ? `Losses: not checked, ${admission.note}\n`
      : admission.breaches.length === 0
        ? `Losses: every guest would have a place after the loss of ${hosts}${planned}\n`
        : `Losses that guests would not survive${planned}:\n${lines(admission.breaches.flatMap(breachLines))}`
  const broken = [
    ...violations.map(({ guest, host, why }) => `${guest} on ${host}: ${why}`),
    ...contradictions.map((proof) => `these cannot all be kept: ${proof}`),
  ]
  const rules = broken.length === 0 ? 'Rules: all are kept\n' : `Rules that are broken:\n${lines(broken)}`
  const score = `the hosts are filled ${balance.score.toFixed(3)} unevenly`
  const moves =
    balance.moves.length === 0
      ? `Balance (${balance.mode}): ${score}; no move would gain enough\n`
      : `Balance (${balance.mode}): ${score}; these moves would make it ${balance.scoreAfter.toFixed(3)}:\n${formatTable(
          balance.moves,
          [
            { title: 'GUEST', of: (move) => move.guest },
            { title: 'FROM', of: (move) => move.from },
            { title: 'TO', of: (move) => move.to },
            { title: 'GAIN', of: (move) => move.gain.toFixed(3) },
            { title: 'MEMORY', of: (move) => formatSize(Math.round(move.bytes)) },
            { title: 'WHY', of: (move) => move.why },
          ],
        )}`
  return `${losses}${rules}${moves}`
}

function breachLines({ text, unplaced }: ClusterCheck['admission']['breaches'][number]): string[] {
  return [text, ...unplaced.map(({ guest, reason }) => `  ${guest}: ${reason}`)]
}

function lines(texts: readonly string[]): string {
  return texts.map((text) => `  ${text}\n`).join('')
}
