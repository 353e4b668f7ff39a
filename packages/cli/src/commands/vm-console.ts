/** `vm console`, `vm paste`, `vm screenshot`. */
import { readFile, writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { ConsoleConnection } from '@stead/api/console-connection.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { StreamBody } from '@stead/api/client.ts'
import { KEYBOARD_LAYOUTS, type KeyboardLayoutName } from '@stead/core/console/keyboard-layout.ts'
import { keystrokesOf } from '@stead/core/console/keystrokes.ts'
import { badArgument, parseDuration } from '../quantities.ts'
import { openNodeSocket } from '@stead/client/node-socket.ts'
import { action, valueOf, type Session, type Terminal, type TerminalInput } from '../session.ts'

const NAME = ['<name>', "the guest's name or id"] as const
/** Ctrl-]: as telnet and virsh have it, and nothing that is typed into a shell. */
const LEAVE = 0x1d
/** A request is answered when all of it is typed; the pieces let one see how far it is. */
const PASTE_PIECE_CHARACTERS = 200

/** Of virtual machines the serial one, of containers that of their init. */
export function addSerialConsole(group: Command, terminal: Terminal): void {
  group
    .command('console')
    .description("Use a guest's serial console; Ctrl-] leaves it")
    .argument(...NAME)
    .option('--idle <duration>', 'when the input is no terminal: end after so much silence at its end', '2s')
    .action(action(terminal, useConsole))
}

export function addVmConsole(vm: Command, terminal: Terminal): void {
  addSerialConsole(vm, terminal)
  vm.command('paste')
    .description(ENDPOINTS['console.paste'].summary)
    .argument(...NAME)
    .option('--text <text>', 'the text; \\n in it is not translated')
    .option('--file <file>', 'a file with the text, in UTF-8')
    .option('--layout <layout>', `keyboard layout that the guest is set to: ${KEYBOARD_LAYOUTS.join(', ')}`, 'us')
    .option('--enter', 'press Enter at the end')
    .action(action(terminal, paste))
  vm.command('screenshot')
    .description(ENDPOINTS['console.screenshot'].summary)
    .argument(...NAME)
    .option('--file <file>', 'where to write the PNG; NAME.png when absent, - for standard output')
    .action(action(terminal, screenshot))
}

export function parseDisplay(text: string): 'none' | 'vga' {
  if (text === 'none' || text === 'vga') return text
  throw badArgument(`--display: \`${text}\` is no display`, 'Write vga or none.')
}

async function useConsole(
  session: Session,
  [guest = '']: readonly string[],
  options: Record<string, unknown>,
): Promise<void> {
  const input = session.terminal.stdin
  if (!input) throw badArgument('There is no input to use the console with')
  const idleMs = parseDuration(String(options['idle']), '--idle')
  const interactive = input.isTTY === true
  const client = await session.client()
  const left = new AbortController()
  const leave = () => left.abort()
  let lastHeardMs = performance.now()
  // In raw mode nothing returns the cursor to the first column by itself.
  const note = (text: string) => session.note(interactive ? `\r\n[${text}]\r` : `[${text}]`)
  const connected = Promise.withResolvers<void>()
  const connection = new ConsoleConnection({
    client,
    guest,
    kind: 'serial',
    openSocket: openNodeSocket,
    onConnected: ({ host }) => {
      note(`connected to ${guest} on ${host}${interactive ? '; Ctrl-] leaves' : ''}`)
      lastHeardMs = performance.now()
      connected.resolve()
    },
    onBytes: (bytes) => {
      lastHeardMs = performance.now()
      session.terminal.stdout.write(bytes)
    },
    onWaiting: (reason) => note(`${reason}; waiting`),
  })
  if (interactive) input.setRawMode?.(true)
  const typing = type(input, connection, connected.promise, left.signal, leave).then(async (ended) => {
    if (!ended || interactive) return leave()
    while (performance.now() - lastHeardMs < idleMs && !left.signal.aborted) await silence(50)
    leave()
  })
  try {
    valueOf(await connection.run(AbortSignal.any([session.signal, left.signal])))
  } finally {
    left.abort()
    if (interactive) input.setRawMode?.(false)
    input.destroy()
    await typing
    if (interactive) session.note('\r')
  }
}

/** True when the input has ended; false when it was left by Ctrl-] or by the signal. */
async function type(
  input: TerminalInput,
  connection: ConsoleConnection,
  connected: Promise<void>,
  signal: AbortSignal,
  leave: () => void,
): Promise<boolean> {
  // What is piped in is not to be lost before there is a connection; a person sees that there is none.
  if (!input.isTTY) await Promise.race([connected, aborted(signal)])
  try {
    for await (const bytes of input) {
      const end = input.isTTY ? bytes.indexOf(LEAVE) : -1
      const typed = end < 0 ? bytes : bytes.subarray(0, end)
      while (typed.length > 0 && !signal.aborted && !connection.send(typed) && !input.isTTY) await silence(50)
      if (end >= 0) leave()
      if (signal.aborted) return false
    }
  } catch (error) {
    // It is destroyed to end the reading.
    if (!signal.aborted) throw error
  }
  return !signal.aborted
}

async function paste(
  session: Session,
  [guest = '']: readonly string[],
  options: Record<string, unknown>,
): Promise<void> {
  const layout = parseLayout(String(options['layout']))
  const given = [options['text'], options['file']].filter((option) => typeof option === 'string')
  if (given.length !== 1) throw badArgument('Give either --text or --file')
  const source = typeof options['text'] === 'string' ? options['text'] : await readText(String(options['file']))
  const text = options['enter'] === true ? `${source}\n` : source
  if (text === '') throw badArgument('There is nothing to type')
  // The whole is looked at before the first key is pressed.
  valueOf(keystrokesOf(text, layout))
  const client = await session.client()
  const characters = [...text.normalize('NFC').replaceAll('\r\n', '\n')]
  let keystrokes = 0
  for (let start = 0; start < characters.length; start += PASTE_PIECE_CHARACTERS) {
    const piece = characters.slice(start, start + PASTE_PIECE_CHARACTERS).join('')
    const input = { params: { guest }, body: { text: piece, layout } }
    const typed = valueOf(await client.call(ENDPOINTS['console.paste'], input, { signal: session.signal }))
    keystrokes += typed.keystrokes
    if (characters.length > PASTE_PIECE_CHARACTERS && session.terminal.stderr.isTTY)
      session.note(`${Math.min(start + PASTE_PIECE_CHARACTERS, characters.length)} of ${characters.length} characters`)
  }
  session.print({ guest, keystrokes }, () => `typed ${keystrokes} keystrokes into ${guest}\n`)
}

function parseLayout(text: string): KeyboardLayoutName {
  const layout = KEYBOARD_LAYOUTS.find((name) => name === text)
  if (layout) return layout
  throw badArgument(`--layout: \`${text}\` is not known`, `Write ${KEYBOARD_LAYOUTS.join(' or ')}.`)
}

async function readText(path: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path))
  } catch (cause) {
    throw badArgument(`--file: ${path} cannot be read as text: ${(cause as Error).message}`)
  }
}

async function screenshot(
  session: Session,
  [guest = '']: readonly string[],
  options: Record<string, unknown>,
): Promise<void> {
  const client = await session.client()
  const input = { params: { guest } }
  const { body } = valueOf(await client.stream(ENDPOINTS['console.screenshot'], input, { signal: session.signal }))
  const picture = await wholeOf(body)
  const path = typeof options['file'] === 'string' ? options['file'] : `${guest}.png`
  if (path === '-') return void session.terminal.stdout.write(picture)
  await writeFile(path, picture)
  session.print({ guest, file: path, bytes: picture.length }, () => `${path}: the screen of ${guest}\n`)
}

async function wholeOf(body: StreamBody['body']): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of body) parts.push(part)
  return Buffer.concat(parts)
}

function silence(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
