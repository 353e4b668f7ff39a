/** `stead`: noun and verb, on the API's contract. `bin/stead` adds the lab's commands to it. */
import { Command, CommanderError } from 'commander'
import { FAILURES } from '@stead/core/errors.ts'
import { addAuditCommands } from './commands/audit.ts'
import { addBenchCommands } from './commands/bench.ts'
import { addAuthorityCommands } from './commands/authority.ts'
import { addCertificateCommands } from './commands/certificate.ts'
import { addClusterCommands } from './commands/cluster.ts'
import { addCtCommands } from './commands/ct.ts'
import { addDeclareCommands } from './commands/declare.ts'
import { addDecisionCommands } from './commands/decision.ts'
import { addExplainCommands } from './commands/explain.ts'
import { addHistoryCommands } from './commands/history.ts'
import { addHostCommands } from './commands/host.ts'
import { addBackupCommands } from './commands/backup.ts'
import { addImageCommands } from './commands/image.ts'
import { addImportCommand } from './commands/import.ts'
import { addLoginCommands } from './commands/login.ts'
import { addPermissionCommands } from './commands/permission.ts'
import { addPolicyCommands } from './commands/policy.ts'
import { addProjectCommands } from './commands/project.ts'
import { addRuleCommands } from './commands/rule.ts'
import { addTemplateCommands } from './commands/template.ts'
import { addTopCommand } from './commands/top.ts'
import { addRealmCommands } from './commands/realm.ts'
import { addUserCommands } from './commands/user.ts'
import { addVmCommands } from './commands/vm.ts'
import { addVolumeCommands } from './commands/volume.ts'
import { addWebhookCommands } from './commands/webhook.ts'
import { addWhatIfCommands } from './commands/what-if.ts'
import { harmlessText } from './harmless-text.ts'
import { processTerminal, report, type Terminal } from './session.ts'

/** Without actions that end the process: usage errors are thrown, see `runProgram`. */
export function buildProgram(terminal: Terminal = processTerminal): Command {
  const program = new Command('stead')
    .description('Keeps virtual machines and containers running when the hosts under them fail.')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(harmlessText(text)),
    })
    .showHelpAfterError('hint: add --help to see the arguments')
  addVmCommands(program, terminal)
  addCtCommands(program, terminal)
  addClusterCommands(program, terminal)
  addAuthorityCommands(program, terminal)
  addCertificateCommands(program, terminal)
  addHostCommands(program, terminal)
  addRuleCommands(program, terminal)
  addPolicyCommands(program, terminal)
  addVolumeCommands(program, terminal)
  addHistoryCommands(program, terminal)
  addTopCommand(program, terminal)
  addImageCommands(program, terminal)
  addBackupCommands(program, terminal)
  addTemplateCommands(program, terminal)
  addExplainCommands(program, terminal)
  addDecisionCommands(program, terminal)
  addDeclareCommands(program, terminal)
  addBenchCommands(program, terminal)
  addImportCommand(program, terminal)
  addWhatIfCommands(program, terminal)
  addLoginCommands(program, terminal)
  addUserCommands(program, terminal)
  addRealmCommands(program, terminal)
  addPermissionCommands(program, terminal)
  addProjectCommands(program, terminal)
  addAuditCommands(program, terminal)
  addWebhookCommands(program, terminal)
  for (const leaf of leavesOf(program)) addSharedOptions(leaf)
  return program
}

/** Parses, runs, and sets the exit code; never throws. `argv` without the program's own name. */
export async function runProgram(
  program: Command,
  argv: readonly string[],
  terminal: Terminal = processTerminal,
): Promise<void> {
  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) return report(terminal, error, false)
    // commander has printed its message itself; help and version are no errors.
    terminal.setExitCode(error.exitCode === 0 ? 0 : FAILURES.bad_request.exit)
  }
}

function leavesOf(command: Command): readonly Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf)
}

function addSharedOptions(command: Command): void {
  command
    .option('-o, --output <format>', 'table, json or yaml')
    .option('--json', 'short for --output json')
    .option('--no-wait', 'do not wait until the work is done')
    .option('--wait', 'wait until the work is done (the default)')
    .option('--timeout <duration>', 'how long to wait: 30s, 2m; 60s when absent, longer for imports')
    .option('--what-if', 'change nothing; show what it would do')
    .option('--foreseen <token>', 'as --what-if showed it, where the policy demands it')
    .option('--explain', 'print the reasons of the last decision as well')
}
