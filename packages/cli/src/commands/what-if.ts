/** `stead what-if`: on the live cluster, or on a file. */
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { parseClusterFile } from '@stead/api/cluster-file.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import {
  foresightView,
  singleFailureView,
  type ForesightView,
  type SingleFailureView,
  type SuppositionRequest,
} from '@stead/api/foresight-view.ts'
import { failure, FailureError } from '@stead/core/errors.ts'
import { measuredFigures } from '@stead/core/foresight/figures.ts'
import { foresee, worstFirst } from '@stead/core/foresight/foresee.ts'
import { suppositionOf } from '@stead/core/foresight/request.ts'
import { singleFailures } from '@stead/core/foresight/supposition.ts'
import { stateOf } from '@stead/core/model/cluster-file-state.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { foresightText, seconds } from '../foresight-text.ts'
import { formatTable } from '../output.ts'
import { badArgument, parseCount, parseSize } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'

const FILE = ['--file <file>', 'ask it of this cluster file in place of the live cluster'] as const

export function addWhatIfCommands(program: Command, terminal: Terminal): void {
  const whatIf = program
    .command('what-if')
    .description('Say what a failure or a change would do: who goes down, for how long, what moves where and why')
  const ask = (
    name: string,
    description: string,
    make: (args: readonly string[], options: Options) => SuppositionRequest,
  ) =>
    whatIf
      .command(name)
      .description(description)
      .option(...FILE)
      .action(
        action(terminal, async (session, args, options) => {
          const foresight = await foresightOf(session, make(args, options as Options), (options as Options)['file'])
          session.print(foresight, () => foresightText(foresight))
        }),
      )
  ask('host-down <host...>', 'These hosts lose their power', ([hosts]) => ({
    kind: 'host-down',
    // commander gives the rest of the line as one argument.
    hosts: hosts as unknown as string[],
  }))
  ask('network-down <network>', 'A switch fails, or one cable of it', ([network], { host }) => ({
    kind: 'network-down',
    network: networkOf(network),
    ...(host === undefined ? {} : { host }),
  })).option('--host <host>', 'only the cable of this host')
  ask('domain-down <domain=name>', 'All hosts of a rack, a power feed, a site fail', ([text = '']) => {
    const [domain, name, ...more] = text.split('=')
    if (!domain || !name || more.length > 0) throw badArgument(`\`${text}\` is not a fault domain`, 'Write rack=r1.')
    return { kind: 'domain-down', domain, name }
  })
  ask('storage-down <host>', 'The storage of a host fails', ([host = '']) => ({ kind: 'storage-down', host }))
  ask('drain <host>', 'A host is drained', ([host = '']) => ({ kind: 'drain', host }))
  ask('remove-host <host>', 'A host leaves for good', ([host = '']) => ({ kind: 'remove-host', host }))
  ask('add-guest <name>', 'A guest is added', ([name = ''], { memory, cpus, priority }) => ({
    kind: 'add-guest',
    name,
    memoryBytes: parseSize(String(memory), '--memory'),
    cpus: parseCount(String(cpus), '--cpus'),
    ...(priority === undefined ? {} : { priority: Number(priority) }),
  }))
    .requiredOption('--memory <size>', 'memory of the guest')
    .option('--cpus <count>', 'virtual processors', '1')
    .option('--priority <number>', 'placed before those with less')
  whatIf
    .command('every-single-failure')
    .description(ENDPOINTS['foresight.single-failures'].summary)
    .option(...FILE)
    .action(
      action(terminal, async (session, _args, options) => {
        const { items, skipped } = await singleFailuresOf(session, (options as Options)['file'])
        session.print({ items, skipped }, () => singleFailuresText(items, skipped))
      }),
    )
}

type Options = Readonly<Record<string, string | undefined>>

async function foresightOf(
  session: Session,
  suppose: SuppositionRequest,
  file: string | undefined,
): Promise<ForesightView> {
  if (file === undefined) {
    const client = await session.client()
    return valueOf(await client.call(ENDPOINTS['foresight.ask'], { body: { suppose } }))
  }
  const state = readClusterFile(file)
  const supposition = valueOf(suppositionOf(state, suppose))
  return foresightView(foresee(state, supposition, assumedTimes(state)), state)
}

async function singleFailuresOf(
  session: Session,
  file: string | undefined,
): Promise<{ items: SingleFailureView[]; skipped: number }> {
  if (file === undefined) {
    const client = await session.client()
    return valueOf(await client.call(ENDPOINTS['foresight.single-failures']))
  }
  const state = readClusterFile(file)
  const all = singleFailures(state).map((suppose) => ({ ...foresee(state, suppose, assumedTimes(state)), suppose }))
  const items = worstFirst(all)
  return { items: items.map((one) => singleFailureView(one, state)), skipped: all.length - items.length }
}

/** A file has no past to take times from. */
function assumedTimes(state: ClusterState) {
  return { figures: measuredFigures(state, []), wallMs: Date.now() }
}

function readClusterFile(path: string): ClusterState {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new FailureError(failure('not_found', `The file ${path} cannot be read`, { cause }))
  }
  return stateOf(valueOf(parseClusterFile(text)))
}

function networkOf(text: string | undefined): 'lan' | 'san' | 'ran' {
  if (text === 'lan' || text === 'san' || text === 'ran') return text
  throw badArgument(`\`${text}\` is not a network`, 'Write lan, san or ran.')
}

function singleFailuresText(items: readonly ForesightView[], skipped: number): string {
  const rest = `${skipped} other single failures touch no guest and no data.\n`
  if (items.length === 0) return rest
  const table = formatTable(items, [
    { title: 'IF', of: (one) => one.supposition },
    { title: 'DOWN', of: (one) => one.guests.filter((guest) => guest.interruptions > 0).length },
    { title: 'LONGEST', of: (one) => longest(one) },
    { title: 'STAY DOWN', of: (one) => one.guests.filter((guest) => guest.to === null).length },
    { title: 'ONE COPY LEFT', of: (one) => one.data.filter(({ risk }) => risk === 'last-copy').length },
    { title: 'SO', of: (one) => one.summary },
  ])
  return `${table}\n${rest}`
}

function longest({ guests }: ForesightView): string {
  const times = guests.flatMap(({ downMs, interruptions }) => (downMs !== null && interruptions > 0 ? [downMs] : []))
  return times.length === 0 ? '-' : seconds(Math.max(...times))
}
