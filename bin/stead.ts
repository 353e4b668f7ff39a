/** Joins the command line of the product with the lab's commands. */
import { labCommand, labProgram } from '@stead/lab/lab-commands.ts'

if (process.argv[2] === 'lab') {
  // Lab commands need neither the API's schemas nor a cluster, so they do not wait for either to load.
  await labProgram().parseAsync()
} else {
  const { buildProgram, runProgram } = await import('@stead/cli/program.ts')
  await runProgram(buildProgram().addCommand(labCommand()), process.argv.slice(2))
}
