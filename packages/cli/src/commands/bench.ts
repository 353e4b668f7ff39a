/** Plans for clusters in files, so that others can judge our planner beside theirs. Needs no cluster. */
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { failure, FailureError } from '@stead/core/errors.ts'
import { balance } from '@stead/core/planning/balance.ts'
import { placeGuests } from '@stead/core/planning/place.ts'
import { readBenchCluster } from '../bench-cluster.ts'
import { badArgument } from '../quantities.ts'
import { action, valueOf, type Terminal } from '../session.ts'

interface ExportOptions {
  readonly cluster: string
  readonly fail: readonly string[]
  readonly rebalance?: boolean
  readonly moves?: string
}

export function addBenchCommands(program: Command, terminal: Terminal): void {
  const bench = program.command('bench').description('Compare the planner with others')
  bench
    .command('export')
    .description('Print where each guest of a cluster in a file would be, as JSON {guest: host}')
    .requiredOption('--cluster <file>', 'the cluster, as JSON (spike-cluster/1)')
    .option('--fail <host...>', 'hosts that are lost: their guests get other places', [])
    .option('--rebalance', 'even out the hosts instead')
    .option('--moves <number>', 'how many guests --rebalance may move')
    .action(
      action(terminal, async (session, _, options) => {
        const { cluster, fail, rebalance, moves } = options as unknown as ExportOptions
        if (rebalance === true && fail.length > 0)
          throw badArgument('--rebalance and --fail exclude each other', 'Give one of them.')
        const problem = valueOf(readBenchCluster(await readJson(cluster), fail))
        const places = new Map(problem.guests.map(({ id, at }) => [id, at]))
        const startedAt = performance.now()
        if (rebalance === true) {
          const plan = balance(problem, moves === undefined ? {} : { movesMax: movesOf(moves) })
          const tookMs = performance.now() - startedAt
          for (const { guest, to } of plan.moves) places.set(guest, to)
          session.note(
            `${plan.moves.length} moves in ${tookMs.toFixed(1)} ms; score ${plan.scoreBefore.toFixed(4)} -> ${plan.scoreAfter.toFixed(4)}`,
          )
        } else {
          const plan = placeGuests(problem)
          const tookMs = performance.now() - startedAt
          for (const [guest, host] of plan.places) places.set(guest, host)
          session.note(`${plan.places.size} placed, ${plan.unplaced.length} not, in ${tookMs.toFixed(1)} ms`)
        }
        // A guest without a place has no line.
        terminal.stdout.write(`${JSON.stringify(Object.fromEntries(places))}\n`)
      }),
    )
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new FailureError(
      failure('bad_request', `${path} cannot be read as JSON: ${why}`, { hint: 'Check the file', cause }),
    )
  }
}

function movesOf(text: string): number {
  const moves = Number(text)
  if (Number.isInteger(moves) && moves >= 0) return moves
  throw badArgument(`--moves: \`${text}\` is not a whole number`, 'Write 0 or more.')
}
