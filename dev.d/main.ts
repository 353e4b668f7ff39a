/** `./dev`: the subcommands. Uses nothing but Node itself, since `setup` is what installs everything else. */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runChecks, runFixes } from './checks.ts'
import { runLab } from './lab.ts'
import { DevFailure, ROOT } from './run-program.ts'
import { setup } from './setup.ts'
import { LANES, runTests } from './tests.ts'

const USAGE = `Usage: ./dev COMMAND
  setup                                  install and build what is missing
  lab [--no-tour | --with-container]     start a cluster of three lab hosts on this machine and show it
  test [unit|system] [--filter TEXT] [--jobs J]
                                         run the tests (TEXT: part of a file's path, or of a test's name;
                                         J: files beside each other, two unless it is said)
  bench [PART|all] [--quick] [--rounds N] [--json] [--write]
                                         measure (PART: failover, replica, mirror, footprint, times, planner, create, container)
  sim fuzz [--seeds N] [--minutes M] [--first SEED|random] [--jobs J] [--out FOLDER]
                                         play faults in simulated clusters; prints the seeds that break a promise
  sim repro SEED [--out FOLDER]          show what happens in one of them, and make it smaller
  sim play FOLDER                        play what such a folder holds
  sim scenario NAME|all [--update] [--times] [--seed N]
                                         play a folder of scenarios/ and compare it with its expected.log
  sim mutate [RULE] [--seeds N] [--jobs J]
                                         take each safety rule out and count the seeds until that is caught
  sim import FILE... [--sizes FILE] [--out FILE]
                                         a cluster file of a Pacemaker CIB or of Proxmox VE's HA files
  image debian                           build the Debian guest image of tests and the lab; prints where it is
  client                                 pack @stead/client for programs elsewhere; prints where it is
  web [build]                            serve the web interface on a simulated cluster; or build it for agents
  check                                  types, lint rules and format
  fix                                    format, and mend what the linter can mend
`

async function main(args: readonly string[]): Promise<number> {
  const [command = '', ...rest] = args
  if (['help', '--help', '-h'].includes(command) || rest.includes('--help') || rest.includes('-h')) {
    process.stdout.write(USAGE)
    return 0
  }
  switch (command) {
    case 'setup':
      parseArgs({ args: rest, options: {} })
      await setup()
      return 0
    case 'lab': {
      const options = { 'no-tour': { type: 'boolean' }, 'with-container': { type: 'boolean' } } as const
      const { values } = parseArgs({ args: rest, options })
      await setup()
      return runLab({ tour: values['no-tour'] !== true, withContainer: values['with-container'] === true })
    }
    case 'test': {
      const options = { filter: { type: 'string' }, jobs: { type: 'string' } } as const
      const { values, positionals } = parseArgs({ args: rest, options, allowPositionals: true })
      const [kind = 'all', ...more] = positionals
      if (more.length > 0 || !isTestKind(kind)) throw new DevFailure(`test what? One of: unit, system`)
      const lanes = values.jobs === undefined ? LANES : Number(values.jobs)
      if (!(Number.isInteger(lanes) && lanes > 0)) throw new DevFailure('--jobs takes a whole number above 0')
      await setup()
      return runTests(kind, values.filter, lanes)
    }
    case 'bench': {
      const options = {
        json: { type: 'boolean' },
        quick: { type: 'boolean' },
        write: { type: 'boolean' },
        rounds: { type: 'string' },
      } as const
      const { values, positionals } = parseArgs({ args: rest, options, allowPositionals: true })
      await setup()
      // Loaded only now: it needs the packages that setup has installed.
      const { BENCH_PARTS, runBench } = await import('./bench.ts')
      const isPart = (text: string): text is (typeof BENCH_PARTS)[number] =>
        (BENCH_PARTS as readonly string[]).includes(text)
      const wanted = positionals.length === 0 || positionals.includes('all') ? BENCH_PARTS : positionals
      const rounds = values.rounds === undefined ? undefined : Number(values.rounds)
      if (!wanted.every(isPart)) throw new DevFailure(`bench what? Any of: ${BENCH_PARTS.join(', ')}, all`)
      if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0))
        throw new DevFailure('--rounds takes a whole number above 0')
      const flags = { json: values.json === true, quick: values.quick === true, write: values.write === true }
      return runBench({ parts: wanted, ...flags, ...(rounds === undefined ? {} : { rounds }) })
    }
    case 'sim': {
      const options = {
        seeds: { type: 'string' },
        first: { type: 'string' },
        sizes: { type: 'string' },
        minutes: { type: 'string' },
        jobs: { type: 'string' },
        out: { type: 'string' },
        update: { type: 'boolean' },
        times: { type: 'boolean' },
        seed: { type: 'string' },
      } as const
      const { values, positionals } = parseArgs({ args: rest, options, allowPositionals: true })
      await setup()
      if (positionals[0] === 'import')
        return (await import('./sim-import.ts')).runSimImport(positionals.slice(1), values)
      if (positionals[0] === 'scenario')
        return (await import('./sim-scenario.ts')).runScenarios(positionals.slice(1), values)
      const { runSim } = await import('./sim.ts')
      return runSim(positionals, values)
    }
    case 'client': {
      parseArgs({ args: rest, options: {} })
      await setup()
      const { buildClientPackage } = await import('./client-package.ts')
      process.stdout.write(`${await buildClientPackage(join(ROOT, '.cache', 'client'))}\n`)
      return 0
    }
    case 'image': {
      const { positionals } = parseArgs({ args: rest, options: {}, allowPositionals: true })
      if (positionals.length !== 1 || positionals[0] !== 'debian') throw new DevFailure('image what? One of: debian')
      await setup()
      return (await import('./image.ts')).buildDebian()
    }
    case 'web': {
      const { positionals } = parseArgs({ args: rest, options: {}, allowPositionals: true })
      if (positionals.length > 1 || (positionals[0] ?? 'build') !== 'build')
        throw new DevFailure('web what? One of: build')
      await setup()
      const { buildWeb, serveWeb } = await import('./web.ts')
      if (positionals.length === 0) return serveWeb()
      await buildWeb()
      return 0
    }
    case 'check':
      await setup()
      return runChecks()
    case 'fix':
      await setup()
      return runFixes()
    case '':
      process.stderr.write(USAGE)
      return 2
    default:
      process.stderr.write(`error: ./dev has no command '${command}'\n${USAGE}`)
      return 2
  }
}

function isTestKind(kind: string): kind is 'all' | 'unit' | 'system' {
  return kind === 'all' || kind === 'unit' || kind === 'system'
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (problem) {
  const usage = (problem as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS') === true
  if (!usage && !(problem instanceof DevFailure)) throw problem
  process.stderr.write(`error: ${(problem as Error).message}\n`)
  process.exitCode = usage ? 2 : 1
}
