/** `stead top`: what runs, and what it uses of its hosts, again and again. */
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { CallInput } from '@stead/api/endpoint.ts'
import type { GuestUseView } from '@stead/api/endpoints/counters.ts'
import { harmlessText } from '../harmless-text.ts'
import { formatStructured, formatTable } from '../output.ts'
import { badArgument, formatSize, parseDuration } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'

type Query = CallInput<(typeof ENDPOINTS)['counter.list']>['query']

const INTERVAL_MS_MIN = 1_000
/** Home, and nothing below. */
const CLEAR = '\u001B[H\u001B[J'

/** What the largest of comes first. */
const ORDERS = {
  cpu: ({ cpuPercent }: GuestUseView) => cpuPercent ?? 0,
  memory: ({ memoryHeldBytes }: GuestUseView) => memoryHeldBytes ?? 0,
  io: (use: GuestUseView) => (use.readBytesPerSecond ?? 0) + (use.writtenBytesPerSecond ?? 0),
  network: (use: GuestUseView) => (use.receivedBytesPerSecond ?? 0) + (use.sentBytesPerSecond ?? 0),
  refused: (use: GuestUseView) => refusals(use),
} as const
type Order = keyof typeof ORDERS

export function addTopCommand(program: Command, terminal: Terminal): void {
  program
    .command('top')
    .description(ENDPOINTS['counter.list'].summary)
    .option('--interval <duration>', 'how often it looks; hosts look every ten seconds by themselves', '2s')
    .option('--once', 'look once, with the figures that the hosts have')
    .option('--sort <by>', `what comes first: ${Object.keys(ORDERS).join(', ')}`, 'cpu')
    .action(
      action(terminal, async (session, _, { interval, once, sort }) => {
        const order = String(sort)
        if (!Object.hasOwn(ORDERS, order))
          throw badArgument(`--sort: \`${order}\` is nothing to sort by`, `Write ${Object.keys(ORDERS).join(', ')}.`)
        const intervalMs = parseDuration(String(interval), '--interval')
        if (intervalMs < INTERVAL_MS_MIN) throw badArgument('--interval: a host looks once a second at most')
        if (once === true) return printOnce(session, order as Order)
        await printAlways(session, order as Order, intervalMs)
      }),
    )
}

async function printOnce(session: Session, order: Order): Promise<void> {
  const { items, silent } = await look(session, order)
  session.warn(silentText(silent))
  session.print(items, () => tableOf(items))
}

/** Until Ctrl-C. A cluster that does not answer for a moment is asked again. */
async function printAlways(session: Session, order: Order, intervalMs: number): Promise<void> {
  const { stdout } = session.terminal
  // Half of it, so that no look shows what the one before has shown.
  const ageMs = Math.min(Math.max(Math.round(intervalMs / 2), 1_000), 60_000)
  while (!session.signal.aborted) {
    const { items, silent } = await look(session, order, { ageMs })
    if (session.format === 'table') {
      const text = [...silentText(silent).map((line) => `${line}\n`), tableOf(items)].join('')
      stdout.write(`${stdout.isTTY === true ? CLEAR : ''}${harmlessText(text)}`)
    } else if (session.format === 'json') stdout.write(`${JSON.stringify(items)}\n`)
    else stdout.write(`---\n${formatStructured(items, session.format)}`)
    await pause(intervalMs, session.signal)
  }
}

async function look(session: Session, order: Order, query?: Query) {
  const client = await session.client()
  const { items, silent } = valueOf(await client.call(ENDPOINTS['counter.list'], query ? { query } : {}))
  const by = ORDERS[order]
  return { items: items.toSorted((a, b) => by(b) - by(a) || a.guest.localeCompare(b.guest)), silent }
}

function tableOf(items: readonly GuestUseView[]): string {
  return formatTable<GuestUseView>(items, [
    { title: 'NAME', of: ({ guest }) => guest },
    { title: 'KIND', of: ({ kind }) => kind },
    { title: 'HOST', of: ({ host }) => host },
    { title: 'CPU %', of: ({ cpuPercent }) => cpuPercent?.toFixed(1) ?? null },
    { title: 'MEMORY', of: ({ memoryHeldBytes }) => (memoryHeldBytes === null ? null : formatSize(memoryHeldBytes)) },
    { title: 'OF', of: ({ memoryLimitBytes }) => (memoryLimitBytes === null ? null : formatSize(memoryLimitBytes)) },
    { title: 'PROCESSES', of: ({ processes, processesMax }) => ofMost(processes, processesMax) },
    { title: 'READ/S', of: ({ readBytesPerSecond }) => rate(readBytesPerSecond) },
    { title: 'WRITTEN/S', of: ({ writtenBytesPerSecond }) => rate(writtenBytesPerSecond) },
    { title: 'RECEIVED/S', of: ({ receivedBytesPerSecond }) => rate(receivedBytesPerSecond) },
    { title: 'SENT/S', of: ({ sentBytesPerSecond }) => rate(sentBytesPerSecond) },
    { title: 'REFUSED', of: (use) => refusedText(use) },
  ])
}

function ofMost(held: number | null, most: number | null): string | null {
  if (held === null) return null
  return most === null ? String(held) : `${held}/${most}`
}

function rate(bytesPerSecond: number | null): string | null {
  return bytesPerSecond === null ? null : formatSize(Math.round(bytesPerSecond))
}

function refusals({ refused }: GuestUseView): number {
  return Object.values(refused).reduce((sum, count) => sum + count, 0)
}

/** `numproc 12`; nothing where nothing was. */
export function refusedText({ refused }: GuestUseView): string {
  return Object.entries(refused)
    .map(([resource, count]) => `${resource} ${count}`)
    .join(', ')
}

function silentText(silent: readonly string[]): string[] {
  return silent.length === 0 ? [] : [`${silent.join(', ')} did not answer: guests there are missing`]
}

/** Ends early when the signal comes. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
  })
}
