/** A plan that breaks a promise, as a folder of plain files that a person can read and a scenario can start from. */
import { printCommand } from './fault-commands.ts'
import type { FaultPlan } from './fault-plan.ts'
import type { FuzzReport } from './world-fuzz.ts'

export function failureFolder(plan: FaultPlan, report: FuzzReport): Readonly<Record<string, string>> {
  const [violation = 'nothing was broken'] = report.violations
  return {
    'README.md': [
      `# Seed ${plan.world.seed}`,
      '',
      `Broken: ${violation}`,
      '',
      'Found by `./dev sim fuzz` and made smaller. `cluster.json` is the world, `commands` is what was done to it, with',
      'the time in ms; `log` is what happened. Play it again with `./dev sim play FOLDER`.',
      '',
    ].join('\n'),
    'cluster.json': `${JSON.stringify(plan.world, null, 2)}\n`,
    commands: `${plan.commands.map(printCommand).join('\n')}\n`,
    log: `${[...report.log, ...report.violations.map((each) => `VIOLATION ${each}`)].join('\n')}\n`,
  }
}
