/** `stead service`: the agent as a service of this machine. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { AGENT_UNIT, agentUnit } from './agent-service.ts'
import { complain } from './complaint.ts'

const ROOT = join(import.meta.dirname, '..', '..', '..', '..')
const UNITS = '/etc/systemd/system'
/** There while systemd runs the machine: sd_booted(3). */
const BOOTED = '/run/systemd/system'
const SYSTEMCTL_MS = 120_000

interface Options {
  readonly state: string
}

export function serviceCommand(): Command {
  const service = new Command('service').description('The agent as a service of this machine')
  const named = (name: string, description: string) =>
    service
      .command(name)
      .description(description)
      .option('--state <folder>', 'where the host keeps its state', '/var/lib/stead')
  named('print', "Print systemd's unit of the agent").action(({ state }: Options) => {
    process.stdout.write(unitFor(state))
  })
  named('install', "Write systemd's unit of the agent, and have it run from now on and after each boot").action(
    async ({ state }: Options) => {
      const done = await install(state)
      if (!done.ok) complain(done.error)
    },
  )
  return service
}

function unitFor(stateDir: string): string {
  return agentUnit({ root: ROOT, stateDir })
}

async function install(stateDir: string): Promise<Result<void>> {
  const blank = [ROOT, process.execPath, stateDir].find((path) => /\s/.test(path))
  if (blank !== undefined) return fail(failure('bad_request', `'${blank}' has a blank, which systemd takes for an end`))
  const file = join(UNITS, AGENT_UNIT)
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o711 })
    writeFileSync(file, unitFor(stateDir))
  } catch (cause) {
    return fail(failure('forbidden', `${file}: ${(cause as Error).message}`, { hint: 'Run it as root', cause }))
  }
  process.stdout.write(`wrote ${file}\n`)
  if (!existsSync(BOOTED)) {
    process.stdout.write('systemd does not run this machine: nothing was started\n')
    return ok()
  }
  const { runProgram } = await import('../process/run-program.ts')
  for (const args of [['daemon-reload'], ['enable', '--now', AGENT_UNIT]]) {
    const told = await runProgram('systemctl', args, SYSTEMCTL_MS)
    if (!told.ok) return told
  }
  process.stdout.write(`${AGENT_UNIT} runs\n`)
  return ok()
}
