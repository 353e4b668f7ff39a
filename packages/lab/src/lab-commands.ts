/** `stead lab ...`: the commands that build a lab of many hosts on this machine and break it on purpose. */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { Command, InvalidArgumentError, Option } from 'commander'
import { FAILURES, failure, hintOf } from '@stead/core/errors.ts'
import type { Failure } from '@stead/core/errors.ts'
import { NETWORK_ROLES } from '@stead/core/model/host.ts'
import type { NetworkRole } from '@stead/core/model/host.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { Result } from '@stead/core/result.ts'
import { cutBetween, cutCable, mendCables } from './cables.ts'
import { findHost, findLab, labDown, labReport, labUp, waitForAgents } from './lab.ts'
import type { Lab, LabReport } from './lab.ts'
import { PROCESS_KINDS, execOnHost, freezeHost, powerOff, powerOn, signalProcess } from './lab-host.ts'
import type { ProcessKind } from './lab-host.ts'
import { enterClient } from './lab-client.ts'
import { withLabLock } from './lab-lock.ts'
import { labPlaces } from './topology.ts'
import type { LabHostSpec, LabPlaces } from './topology.ts'

interface LabOptions {
  readonly lab?: string
  readonly json?: true
}

const env = process.env

/** The lab's commands alone, for a caller that must not wait for the rest of the command line to load. */
export function labProgram(): Command {
  return new Command('stead').enablePositionalOptions().addCommand(labCommand())
}

export function labCommand(): Command {
  const lab = new Command('lab').description('Build a cluster of lab hosts on this machine, and break it on purpose')
  // What follows `client` and `exec` belongs to the command that is run, options included.
  lab.enablePositionalOptions()
  // Inherited by the subcommands: a wrong usage is a bad request, as everywhere in the product.
  lab.exitOverride((stop) => process.exit(stop.exitCode === 0 ? 0 : FAILURES.bad_request.exit))
  addWholeLab(lab)
  addPower(lab)
  addCables(lab)
  addProcesses(lab)
  return lab
}

function addWholeLab(lab: Command): void {
  subcommand(lab, 'up', 'Start a lab; the command line then talks to it')
    .option('--hosts <count>', 'hosts that run guests', wholeNumber, 3)
    .option('--witness', 'add a host that only votes')
    .option('--fast-pool', 'each host has a second, smaller pool: fast')
    .option('--btrfs-pool', 'each host has a second, smaller pool on btrfs: btrfs')
    .option('--empty', 'the hosts are of no cluster: try `stead init` and `stead join` on them')
    .option('--no-wait', 'return before the agents answer')
    .action(
      async (
        options: LabOptions & {
          hosts: number
          witness?: true
          fastPool?: true
          btrfsPool?: true
          empty?: true
          wait: boolean
        },
      ) => {
        await finish(
          options,
          async (places) => {
            const { hosts, witness = false, fastPool = false, btrfsPool = false, empty = false } = options
            const wanted = { hosts, witness, fastPool, btrfsPool, empty }
            const up = await withLabLock(places.folder, () => labUp(env, places, wanted))
            if (!up.ok) return up
            const ready = options.wait && !empty ? await waitForAgents(up.value, up.value.notes.hosts) : ok()
            return ready.ok ? ok(await labReport(env, up.value)) : ready
          },
          tellReport,
        )
      },
    )
  subcommand(lab, 'status', 'Show the hosts, their power and their cables').action(async (options: LabOptions) => {
    await finish(
      options,
      async (places) => {
        const found = findLab(env, places)
        return found.ok ? ok(await labReport(env, found.value)) : found
      },
      tellReport,
    )
  })
  subcommand(lab, 'down', 'Remove a lab with all its data').action(async (options: LabOptions) => {
    await finish(options, (places) => withLabLock(places.folder, () => labDown(env, places)))
  })
}

function addPower(lab: Command): void {
  subcommand(lab, 'power-off <host>', "Pull a host's plug").action((id: string, options: LabOptions) =>
    change(options, [id], ({ boot }, [host]) => powerOff(boot, host.id)),
  )
  subcommand(lab, 'power-on <host>', 'Boot a host with the state it had').action((id: string, options: LabOptions) =>
    change(options, [id], ({ boot }, [host]) => powerOn(boot, host)),
  )
  subcommand(lab, 'freeze <host>', 'Hang a host: no process of it runs any more').action(
    (id: string, options: LabOptions) => change(options, [id], ({ boot }, [host]) => freezeHost(boot, host.id, true)),
  )
  subcommand(lab, 'thaw <host>', 'Let a frozen host go on').action((id: string, options: LabOptions) =>
    change(options, [id], ({ boot }, [host]) => freezeHost(boot, host.id, false)),
  )
}

function addCables(lab: Command): void {
  subcommand(
    lab,
    'cut <host> [network]',
    "Cut a host's cable to lan, san or ran (all three when none is given)",
  ).action((id: string, network: string | undefined, options: LabOptions) =>
    change(options, [id], async ({ boot }, [host]) => {
      const roles = rolesOf(network)
      return roles.ok ? cutCable(boot.places, host.id, roles.value) : roles
    }),
  )
  subcommand(lab, 'mend <host> [network]', 'Mend what cut and cut-between did to a host').action(
    (id: string, network: string | undefined, options: LabOptions) =>
      change(options, [id], async ({ boot }, [host]) => {
        const roles = rolesOf(network)
        return roles.ok ? mendCables(boot.places, host.id, roles.value) : roles
      }),
  )
  subcommand(lab, 'cut-between <host> <other>', 'Let two hosts no longer hear each other, on all networks').action(
    (id: string, otherId: string, options: LabOptions) =>
      change(options, [id, otherId], async ({ boot }, [host, other]) => {
        if (other === undefined || host.id === other.id) return fail(failure('bad_request', 'name two different hosts'))
        return cutBetween(boot.places, host.id, other.id)
      }),
  )
}

function addProcesses(lab: Command): void {
  subcommand(lab, 'kill <host> <process>', `Send a signal to a host's ${PROCESS_KINDS.join(', ')}`)
    .addOption(new Option('--signal <name>', 'which signal').choices(['KILL', 'STOP', 'CONT', 'TERM']).default('KILL'))
    .action(async (id: string, kind: string, options: LabOptions & { signal: string }) => {
      await finish(
        options,
        async (places) => {
          const named = onHost(places, id)
          if (!named.ok) return named
          if (!PROCESS_KINDS.includes(kind as ProcessKind)) {
            const hint = `One of: ${PROCESS_KINDS.join(', ')}`
            return fail(failure('bad_request', `'${kind}' is no process of a host`, { hint }))
          }
          const { lab: found, host } = named.value
          const pids = signalProcess(found.boot, host.id, kind as ProcessKind, `SIG${options.signal}` as NodeJS.Signals)
          return pids.ok ? ok({ host: host.id, process: kind, signal: options.signal, pids: pids.value }) : pids
        },
        (done) => `SIG${done.signal} sent to ${done.process} of ${done.host} (process ${done.pids.join(', ')})`,
      )
    })
  subcommand(
    lab,
    'client <command...>',
    "Run a command in a namespace on the lab's LAN: stead lab client -- ping 10.66.0.1",
  )
    .passThroughOptions()
    .action(async (command: string[], options: LabOptions) => {
      await handOver(options, (places) => {
        const found = findLab(env, places)
        if (!found.ok) return found
        return enterClient(found.value, withoutDashes(command))
      })
    })
  subcommand(lab, 'exec <host> <command...>', 'Run a command on a lab host: stead lab exec h1 -- ps axf')
    .passThroughOptions()
    .action(async (id: string, command: string[], options: LabOptions) => {
      await handOver(options, (places) => {
        const named = onHost(places, id)
        return named.ok ? execOnHost(named.value.lab.boot, named.value.host.id, withoutDashes(command)) : named
      })
    })
}

function subcommand(lab: Command, usage: string, description: string): Command {
  return lab
    .command(usage)
    .description(description)
    .option('--lab <id>', 'which lab, when this machine has several')
    .option('--json', 'print JSON')
}

function onHost(places: LabPlaces, id: string): Result<{ lab: Lab; host: LabHostSpec }> {
  const lab = findLab(env, places)
  if (!lab.ok) return lab
  const host = findHost(lab.value, id)
  return host.ok ? ok({ lab: lab.value, host: host.value }) : host
}

/** A change to hosts of a lab that exists, alone at it. */
async function change(
  options: LabOptions,
  ids: readonly [string, ...string[]],
  work: (lab: Lab, hosts: readonly [LabHostSpec, ...LabHostSpec[]]) => Promise<Result<void>>,
): Promise<void> {
  await finish(options, (places) =>
    withLabLock(places.folder, async () => {
      const lab = findLab(env, places)
      if (!lab.ok) return lab
      const [first, ...others] = ids.map((id) => findHost(lab.value, id))
      const unknown = [first, ...others].find((host) => host?.ok === false)
      if (first?.ok !== true || unknown?.ok === false) return unknown?.ok === false ? unknown : fail(noHost)
      return work(lab.value, [first.value, ...others.flatMap((host) => (host.ok ? [host.value] : []))])
    }),
  )
}

const noHost = failure('bad_request', 'no host was named')

/** Runs a command's work, prints what it has to say and sets the exit code. */
async function finish<T>(
  options: LabOptions,
  work: (places: LabPlaces) => Promise<Result<T>>,
  tell?: (value: T) => string,
): Promise<void> {
  const places = labPlaces(env, options.lab)
  const done = places.ok ? await work(places.value) : places
  if (!done.ok) return complain(done.error, options)
  if (options.json === true) process.stdout.write(`${JSON.stringify(done.value ?? { done: true }, null, 2)}\n`)
  else if (tell !== undefined) process.stdout.write(`${tell(done.value)}\n`)
}

/** Runs a program in place of this one: its terminal, its signals, its exit code. */
async function handOver(options: LabOptions, prepare: (places: LabPlaces) => Result<readonly string[]>): Promise<void> {
  const places = labPlaces(env, options.lab)
  const prepared = places.ok ? prepare(places.value) : places
  if (!prepared.ok) return complain(prepared.error, options)
  const [file = '', ...args] = prepared.value
  const child = spawn(file, args, { stdio: 'inherit' })
  const passOn = (signal: NodeJS.Signals) => child.kill(signal)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, passOn)
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.on('error', () => resolve([127, null]))
    child.on('exit', (exitCode, endSignal) => resolve([exitCode, endSignal]))
  })
  // The handlers would keep this process alive after its work.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(name, passOn)
  process.exitCode = code ?? 128 + constants.signals[signal ?? 'SIGKILL']
}

/** The parser keeps the `--` that follows a positional argument. */
function withoutDashes(command: readonly string[]): readonly string[] {
  return command[0] === '--' ? command.slice(1) : command
}

function complain(error: Failure, options: LabOptions): void {
  const { code, message, cause } = error
  const hint = hintOf(error)
  const beneath = cause instanceof Error ? cause.message : cause
  if (options.json === true)
    process.stderr.write(`${JSON.stringify({ error: { code, message, hint, cause: beneath } })}\n`)
  else process.stderr.write(`error: ${message}\nhint: ${hint}\n`)
  process.exitCode = FAILURES[code].exit
}

function rolesOf(network: string | undefined): Result<readonly NetworkRole[]> {
  if (network === undefined) return ok(NETWORK_ROLES)
  const role = NETWORK_ROLES.find((known) => known === network)
  if (role !== undefined) return ok([role])
  return fail(failure('bad_request', `'${network}' is no network of the lab`, { hint: 'One of: lan, san, ran' }))
}

function wholeNumber(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('a whole number is wanted')
}

function tellReport(report: LabReport): string {
  const rows = report.hosts.map((host) => {
    const cut = NETWORK_ROLES.filter((role) => host.cables[role] === 'cut')
    const cables = cut.length === 0 ? 'plugged' : `cut: ${cut.join(', ')}`
    return [
      host.host,
      host.role,
      host.power,
      host.agent,
      host.addresses.lan,
      host.addresses.san,
      host.addresses.ran,
      cables,
    ]
  })
  const table = [['HOST', 'ROLE', 'POWER', 'AGENT', 'LAN', 'SAN', 'RAN', 'CABLES'], ...rows]
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? []
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  const cuts = report.cutBetween.map(([first, second]) => `${first} and ${second} do not hear each other`)
  return [`Lab ${report.lab}${report.url === null ? '' : `, API at ${report.url}`}`, ...lines, ...cuts].join('\n')
}
