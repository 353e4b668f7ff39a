/** `ct enter`: a shell in a container, on a terminal of its own. */
import type { Command } from 'commander'
import type { ShellSize } from '@stead/api/console-protocol.ts'
import { ShellConnection } from '@stead/api/shell-connection.ts'
import { openNodeSocket } from '@stead/client/node-socket.ts'
import { badArgument } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal, type TerminalInput } from '../session.ts'

/** Where there is no terminal to take it from. */
const SIZE: ShellSize = { columns: 80, rows: 24 }
/** Ctrl-D: what is piped in ends the shell with its own end. */
const END_OF_INPUT = Buffer.from([0x04])

export function addCtEnter(ct: Command, terminal: Terminal): void {
  ct.command('enter')
    .description('Use a shell in a container, as its root; exit or Ctrl-D ends it')
    .argument('<name>', "the guest's name or id")
    .action(action(terminal, enter))
}

async function enter(session: Session, [guest = '']: readonly string[]): Promise<void> {
  const { stdin: input, stdout } = session.terminal
  if (!input) throw badArgument('There is no input to use the shell with')
  const interactive = input.isTTY === true
  const left = new AbortController()
  const connected = Promise.withResolvers<void>()
  const connection = new ShellConnection({
    client: await session.client(),
    guest,
    openSocket: openNodeSocket,
    size: stdout.window?.() ?? SIZE,
    onConnected: () => connected.resolve(),
    onBytes: (bytes) => stdout.write(bytes),
  })
  const offResize = stdout.onWindow?.((size) => connection.resize(size))
  if (interactive) input.setRawMode?.(true)
  const typing = connected.promise.then(() => type(input, connection, left.signal))
  try {
    const code = valueOf(await connection.run(AbortSignal.any([session.signal, left.signal])))
    session.terminal.setExitCode(code ?? 0)
  } finally {
    left.abort()
    offResize?.()
    connected.resolve()
    if (interactive) input.setRawMode?.(false)
    input.destroy()
    await typing
  }
}

async function type(input: TerminalInput, connection: ShellConnection, signal: AbortSignal): Promise<void> {
  try {
    for await (const bytes of input) {
      if (signal.aborted) return
      connection.send(bytes)
    }
    // A terminal that is gone hangs up by itself, with the signal that it sends.
    if (!input.isTTY) connection.send(END_OF_INPUT)
  } catch (error) {
    // It is destroyed to end the reading.
    if (!signal.aborted) throw error
  }
}
