/** Joins the command line of the product with the lab's commands, and with those that set up a host. */
async function main(): Promise<void> {
  const { labCommand, labProgram } = await import('@stead/lab/lab-commands.ts')
  // Lab commands need neither the API's schemas nor a cluster, so they do not wait for either to load.
  if (process.argv[2] === 'lab') return void (await labProgram().parseAsync())
  const [{ setupCommands }, { serviceCommand }, { buildProgram, runProgram }, { unixTransport }] = await Promise.all([
    import('@stead/agent/setup/setup-commands.ts'),
    import('@stead/agent/setup/service-commands.ts'),
    import('@stead/cli/program.ts'),
    import('@stead/client/node-transport.ts'),
  ])
  const program = buildProgram().addCommand(labCommand()).addCommand(serviceCommand())
  for (const command of setupCommands(unixTransport)) program.addCommand(command)
  await runProgram(program, process.argv.slice(2))
}

void main()
