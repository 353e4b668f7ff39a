/**
 * `stead init`, `stead join`, `stead witness`, `stead setup`: run on the host itself, which is of no cluster yet and so has
 * nobody to ask. What they need besides flags is loaded when they run.
 */
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import type { SetupAnswers } from '@stead/api/endpoints/set-up.ts'
import type { Transport } from '@stead/api/transport.ts'
import { FAILURES, failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { addressOfBond, readBond, type BondFlag } from './bond-flag.ts'
import { complain } from './complaint.ts'
import { ownName } from './host-facts.ts'

const NATIVE_DIR = join(import.meta.dirname, '..', '..', '..', '..', '.native', 'bin')
const UNITS: Readonly<Record<string, number>> = { MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 }

interface Options {
  readonly host: string
  readonly lan?: string
  readonly san?: string
  readonly ran?: string
  readonly bond: readonly string[]
  readonly pool?: readonly string[]
  readonly state: string
  readonly guestUser?: string
  readonly cpus?: string
  readonly memory?: string
  readonly detection: string
  readonly administrator?: string
  readonly clusterAddress?: string
  readonly invite: readonly string[]
  readonly despite: readonly string[]
  readonly check?: true
  readonly whatIf?: true
  readonly json?: true
}

/** `transport`: how the agent that starts is reached. */
export function setupCommands(transport: Transport): Command[] {
  const init = hostCommand('init', 'Make this empty host the first one of a new cluster')
    .argument('<cluster>', "the cluster's name")
    .option('--detection <ms>', 'silence after which a host is held dead', '3000')
    .option('--cluster-address <address>', 'one more address of the LAN, at which some host always answers')
    .option('--administrator <user>', 'make a first user who may everything; his one-time password is printed')
    .option(
      '--invite <role>',
      'make a token for a host that joins next: compute or witness; may be repeated',
      collect,
      [],
    )
    .action((cluster: string, options: Options) => {
      const { administrator, clusterAddress, invite, detection } = options
      return run(options, transport, {
        ...{ kind: 'init', cluster, detectionMs: Number(detection), invite },
        ...(administrator === undefined ? {} : { administrator }),
        ...(clusterAddress === undefined ? {} : { clusterAddress }),
      })
    })
  const member = hostCommand('join', 'Make this empty host one of a cluster, by a token of `stead host invite`')
    .argument('<token>')
    .action((token: string, options: Options) => run(options, transport, { kind: 'join', token }))
  const witness = hostCommand('witness', 'The same for a witness: it votes and runs no guests')
    .argument('<token>', 'of `stead host invite --role witness`')
    .action((token: string, options: Options) => run(options, transport, { kind: 'join', token }))
  return [init, member, witness, doorCommand(transport)]
}

function bare(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option('--state <folder>', 'where the host keeps its state', '/var/lib/stead')
    .exitOverride((stop) => process.exit(stop.exitCode === 0 ? 0 : FAILURES.bad_request.exit))
}

function hostCommand(name: string, description: string): Command {
  const made = bare(name, description)
    .option('--host <name>', 'what this host is called in the cluster, a DNS label', ownName())
    .option('--lan <address>', "of this host, or the port that has it: guests' and users' traffic")
    .option('--san <address>', 'the same: from guests to storage')
    .option('--ran <address>', 'the same: between replicas')
    .option(
      '--bond <name=port+port,…>',
      'make these cards one port: lan0=eno1+eno2,mode=802.3ad; a role may name it; may be repeated',
      collect,
      [],
    )
    .option('--guest-user <uid:gid>', 'whom guests run as')
    .option('--cpus <n>', 'what guests may have of its processors; all when absent')
    .option('--memory <size>', 'what guests may have of its memory; all when absent')
    .option('--despite <check>', 'go on though this check fails; may be repeated', collect, [])
    .option('--check', 'look at everything, and change nothing')
    .option('--what-if', 'the same, with what would be done')
    .option('--json', 'checks and steps as JSON')
  if (name !== 'witness')
    made.option('--pool <name=size:folder>', 'a pool, such as default=500GiB:/srv/stead; may be repeated', collect, [])
  return made
}

function doorCommand(transport: Transport): Command {
  return bare('setup', 'Let this empty host be set up with a browser: prints where, and a code')
    .option(
      '--address <address>',
      'where to listen; all addresses of this host when absent; may be repeated',
      collect,
      [],
    )
    .option('--port <port>', 'TCP port', '8447')
    .option('--json', 'where, and the code, as JSON')
    .action(async ({ address, port, state, json }: Options & { address: string[]; port: string }) => {
      const [{ openSetupDoor }, { SetupWork }, { realClock }, { jsonLog }] = await Promise.all([
        import('./setup-door.ts'),
        import('./setup-work.ts'),
        import('../real-clock.ts'),
        import('../json-log.ts'),
      ])
      const place = { stateDir: state, nativeDir: NATIVE_DIR }
      const work = new SetupWork(place, { ...place, transport, clock: realClock })
      const addresses = address.length > 0 ? address : ownAddresses()
      const log = jsonLog('warn', (line) => process.stderr.write(line))
      const door = await openSetupDoor({ addresses, port: Number(port), work, clock: realClock, log })
      const { pages, code, fingerprint } = door
      if (json) process.stdout.write(`${JSON.stringify({ pages, code, fingerprint })}\n`)
      else {
        for (const page of pages) process.stdout.write(`${page}\n`)
        process.stdout.write(`code         ${code}\ncertificate  SHA256:${fingerprint}\n`)
        process.stdout.write('Whoever has the code can set this host up. Ctrl-C ends it; so does an hour.\n')
      }
      const stopping = new AbortController()
      for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stopping.abort())
      await door.serve(stopping.signal)
      const end = work.view
      if (end?.state === 'done' && !json) process.stdout.write('This host is set up.\n')
    })
}

function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return all.filter(({ family, internal }) => family === 'IPv4' && !internal).map(({ address }) => address)
}

/** What the command itself says, joined with the flags that all share. */
async function run(options: Options, transport: Transport, own: Readonly<Record<string, unknown>>): Promise<void> {
  const [{ prepareSetup }, { refusalOf }, { FirstSteps }, { realClock }, { setupAnswersSchema }, { describeIssues }] =
    await Promise.all([
      import('./set-up-host.ts'),
      import('./check.ts'),
      import('./first-steps.ts'),
      import('../real-clock.ts'),
      import('@stead/api/endpoints/set-up.ts'),
      import('@stead/api/issues.ts'),
    ])
  const given = flagsOf(options)
  if (!given.ok) return complain(given.error, options)
  const parsed = setupAnswersSchema.safeParse({ ...given.value, ...own })
  if (!parsed.success)
    return complain(failure('bad_request', describeIssues(parsed.error.issues, setupAnswersSchema).message), options)
  const answers: SetupAnswers = parsed.data
  const place = { stateDir: options.state, nativeDir: NATIVE_DIR }
  const first = new FirstSteps(answers, { ...place, transport, clock: realClock })
  // Who asks for nothing of the cluster need not wait for its agent, which may not even be installed yet.
  const later = first.wanted.length === 0 ? [] : [first.waiting, ...first.wanted]
  const prepared = await prepareSetup(answers, place, later)
  if (!prepared.ok) return complain(prepared.error, options)
  const { plan, steps } = prepared.value
  const isOnlyLooking = options.check === true || options.whatIf === true
  const say = (text: string) => void (options.json ? undefined : process.stdout.write(text))
  for (const { id, state, text, hint } of plan.checks)
    say(`${state.padEnd(8)} ${id}: ${text}\n${state === 'ok' || hint === null ? '' : `${' '.repeat(9)}${hint}\n`}`)
  if (options.whatIf) for (const { text } of steps) say(`would ${text}\n`)
  let done = refusalOf(plan.checks, options.despite)
  if (!isOnlyLooking)
    for (const { text, run: carryOut } of steps) {
      if (!done.ok) break
      say(`${text}\n`)
      done = await carryOut()
    }
  const isDone = done.ok && !isOnlyLooking
  const { administrator, invitations } = first.outcome
  if (options.json) {
    process.stdout.write(
      `${JSON.stringify({ ...plan, done: isDone, ...(isDone ? { outcome: first.outcome } : {}) })}\n`,
    )
  } else {
    if (administrator) say(`one-time password of ${administrator.user}: ${administrator.password}\n`)
    for (const { role, token } of invitations) say(`token for a ${role} host: ${token}\n`)
  }
  if (!done.ok) complain(done.error, options)
}

function flagsOf(options: Options): Result<Readonly<Record<string, unknown>>> {
  const { lan, san, ran, host, cpus } = options
  const bonds: BondFlag[] = []
  for (const text of options.bond) {
    const bond = readBond(text)
    if (!bond.ok) return bond
    bonds.push(bond.value)
  }
  const addresses = Object.fromEntries(
    Object.entries({ lan, san, ran }).flatMap(([role, given]) =>
      given === undefined ? [] : [[role, addressOfBond(bonds, given, addressOfPort) ?? addressOfPort(given) ?? given]],
    ),
  )
  const pools: { readonly name: string; readonly path: string; readonly capacityBytes: number }[] = []
  for (const text of options.pool ?? []) {
    const [, name, size = '', path] = /^([a-z][a-z0-9-]*)=([^:]+):(\/.*)$/.exec(text) ?? []
    const capacityBytes = bytesOf(size)
    if (name === undefined || path === undefined || capacityBytes === undefined)
      return wrong(`'${text}' is no pool`, 'Such as default=500GiB:/srv/stead')
    pools.push({ name, path, capacityBytes })
  }
  const memoryBytes = options.memory === undefined ? undefined : bytesOf(options.memory)
  if (options.memory !== undefined && memoryBytes === undefined)
    return wrong(`'${options.memory}' is no size`, 'Such as 64GiB')
  const [uid, gid] = (options.guestUser ?? '').split(':').map(Number)
  return ok({
    ...{ host, addresses, bonds, pools },
    ...(cpus === undefined ? {} : { cpuCount: Number(cpus) }),
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(uid !== undefined && gid !== undefined ? { guestUser: { uid, gid } } : {}),
  })
}

/** A port may be named instead of its address. */
function addressOfPort(name: string): string | undefined {
  return networkInterfaces()[name]?.find(({ family }) => family === 'IPv4')?.address
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
