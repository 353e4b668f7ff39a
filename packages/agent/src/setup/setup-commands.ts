/**
 * `stead init`, `stead join`, `stead witness`: run on the host itself, which is of no cluster yet and so has nobody to
 * ask. What they need besides flags is loaded when they run.
 */
import { cpus, hostname, totalmem } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { FAILURES, failure, hintOf, type Failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { HostAnswers, Setup } from './set-up-host.ts'

const NATIVE_DIR = join(import.meta.dirname, '..', '..', '..', '..', '.native', 'bin')
const UNITS: Readonly<Record<string, number>> = { MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 }

interface Options {
  readonly host: string
  readonly lan?: string
  readonly san?: string
  readonly ran?: string
  readonly pool: readonly string[]
  readonly state: string
  readonly guestUser?: string
  readonly cpus?: string
  readonly memory?: string
  readonly detection: string
  readonly whatIf?: true
  readonly json?: true
}

export function setupCommands(): Command[] {
  const init = command('init', 'Make this empty host the first one of a new cluster')
    .argument('<cluster>', "the cluster's name")
    .option('--detection <ms>', 'silence after which a host is held dead', '3000')
    .action(async (cluster: string, options: Options) => {
      await run(options, async (answers) => {
        const { setUpFirst } = await import('./set-up-host.ts')
        return setUpFirst({ ...answers, clusterName: cluster, detectionMs: Number(options.detection) })
      })
    })
  const joined = (options: Options, token: string) =>
    run(options, async (answers) => {
      const { setUpMember } = await import('./set-up-host.ts')
      return setUpMember(answers, token)
    })
  const member = command('join', 'Make this empty host one of a cluster, by a token of `stead host invite`')
    .argument('<token>')
    .action((token: string, options: Options) => joined(options, token))
  const witness = command('witness', 'The same for a witness: it votes and runs no guests')
    .argument('<token>', 'of `stead host invite --role witness`')
    .action((token: string, options: Options) => joined({ ...options, pool: [] }, token))
  return [init, member, witness]
}

function command(name: string, description: string): Command {
  const made = new Command(name)
    .description(description)
    .option('--host <name>', 'what this host is called in the cluster, a DNS label', hostname().split('.')[0])
    .option('--lan <address>', "of this host: guests' and users' traffic")
    .option('--san <address>', 'of this host: from guests to storage')
    .option('--ran <address>', 'of this host: between replicas')
    .option('--state <folder>', 'where the host keeps its state', '/var/lib/stead')
    .option('--guest-user <uid:gid>', 'whom guests run as')
    .option('--cpus <n>', 'what guests may have of its processors; all when absent')
    .option('--memory <size>', 'what guests may have of its memory; all when absent')
    .option('--what-if', 'look at everything, show the plan, and change nothing')
    .option('--json', 'the plan as JSON')
  if (name !== 'witness')
    made.option('--pool <name=size:folder>', 'a pool, such as default=500GiB:/srv/stead; may be repeated', collect, [])
  return made.exitOverride((stop) => process.exit(stop.exitCode === 0 ? 0 : FAILURES.bad_request.exit))
}

async function run(options: Options, prepare: (answers: HostAnswers) => Promise<Result<Setup>>): Promise<void> {
  const answers = answersOf(options)
  const setup = answers.ok ? await prepare(answers.value) : answers
  if (!setup.ok) return complain(setup.error, options)
  const { plan, carryOut } = setup.value
  if (!options.json) {
    for (const { name, state, text } of plan.checks) process.stdout.write(`${state.padEnd(8)} ${name}: ${text}\n`)
    for (const step of plan.steps) process.stdout.write(`${options.whatIf ? 'would ' : ''}${step}\n`)
  }
  const { refusalOf } = await import('./set-up-host.ts')
  const refused = refusalOf(plan)
  const done = options.whatIf ? refused : refused.ok ? await carryOut() : refused
  if (options.json) process.stdout.write(`${JSON.stringify({ ...plan, done: done.ok && !options.whatIf })}\n`)
  if (!done.ok) complain(done.error, options)
}

function answersOf(options: Options): Result<HostAnswers> {
  const { lan, san, ran } = options
  const addresses = { ...(lan ? { lan } : {}), ...(san ? { san } : {}), ...(ran ? { ran } : {}) }
  if (Object.keys(addresses).length === 0)
    return wrong('A host needs an address', 'Give --lan, and --san and --ran where there are such networks')
  const pools: { readonly name: string; readonly path: string; readonly capacityBytes: number }[] = []
  for (const text of options.pool ?? []) {
    const [, name, size = '', path] = /^([a-z][a-z0-9-]*)=([^:]+):(\/.*)$/.exec(text) ?? []
    const capacityBytes = bytesOf(size)
    if (name === undefined || path === undefined || capacityBytes === undefined)
      return wrong(`'${text}' is no pool`, 'Such as default=500GiB:/srv/stead')
    pools.push({ name, path, capacityBytes })
  }
  const memoryBytes = options.memory === undefined ? totalmem() : bytesOf(options.memory)
  if (memoryBytes === undefined) return wrong(`'${options.memory}' is no size`, 'Such as 64GiB')
  const [uid, gid] = (options.guestUser ?? '').split(':').map(Number)
  return ok({
    ...{ hostId: options.host, addresses, pools, stateDir: options.state, nativeDir: NATIVE_DIR },
    capacity: { cpuCount: options.cpus === undefined ? cpus().length : Number(options.cpus), memoryBytes },
    ...(uid !== undefined && gid !== undefined ? { guestUser: { uid, gid } } : {}),
  })
}

function bytesOf(text: string): number | undefined {
  const [, number, unit = ''] = /^(\d+)(MiB|GiB|TiB)$/.exec(text) ?? []
  return number === undefined ? undefined : Number(number) * (UNITS[unit] ?? 1)
}

function wrong(message: string, hint: string): Result<never> {
  return fail(failure('bad_request', message, { hint }))
}

function collect(text: string, before: readonly string[]): readonly string[] {
  return [...before, text]
}

function complain(error: Failure, options: Options): void {
  if (!options.json) process.stderr.write(`${error.message}\n${hintOf(error)}\n`)
  else process.stderr.write(`${JSON.stringify({ code: error.code, message: error.message, hint: hintOf(error) })}\n`)
  process.exitCode = FAILURES[error.code].exit
}
