import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { describe, it, type TestContext } from 'node:test'
import { beforeReceived, SCROLL_BACK_BYTES, ScrollBack } from './scroll-back.ts'
import { READER_BYTES_MAX, READERS_MAX, SerialConsole } from './serial-console.ts'

/** A socket that takes connections as QEMU's chardev does, and what was typed into it. */
async function serialPort(context: TestContext, log = '') {
  const folder = mkdtempSync(join(tmpdir(), 'stead-serial-'))
  const [path, logPath] = [join(folder, 'tty.sock'), join(folder, 'console.log')]
  writeFileSync(logPath, log)
  const port = { typed: '', socket: undefined as Socket | undefined, closed: 0 }
  const server = createServer((socket) => {
    port.socket = socket
    socket.on('data', (bytes: Buffer) => (port.typed += bytes.toString('latin1')))
  }).listen(path)
  await once(server, 'listening')
  context.after(() => {
    port.socket?.destroy()
    server.close()
    rmSync(folder, { recursive: true })
  })
  const opened = await SerialConsole.open(path, logPath, () => port.closed++)
  assert.ok(opened.ok)
  return { serial: opened.value, port, guestSays: (text: string | Buffer) => port.socket?.write(text) }
}

function attach(serial: SerialConsole, scrollBack: boolean): Duplex {
  const reader = serial.attach(scrollBack)
  assert.ok(reader.ok)
  return reader.value
}

/** All that the reader gets, as it grows. */
function reading(reader: Duplex) {
  const seen = { text: '', ended: false, error: undefined as Error | undefined }
  reader.on('data', (bytes: Buffer) => (seen.text += bytes.toString('latin1')))
  reader.on('end', () => (seen.ended = true))
  reader.on('error', (error) => (seen.error = error))
  return seen
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 5_000
  while (!condition()) {
    assert.ok(performance.now() < deadline, 'it did not come in time')
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

describe("a guest's serial console", () => {
  it('shows every reader the same, what was written before included, and types what any of them types', async (context) => {
    const { serial, port, guestSays } = await serialPort(context, 'login:\r\n')
    const [one, two] = [attach(serial, true), attach(serial, false)]
    const [first, second] = [reading(one), reading(two)]
    guestSays('hello ')
    await until(() => second.text === 'hello ')
    const third = reading(attach(serial, true))
    guestSays('you')
    await until(() => [first.text, third.text].every((text) => text === 'login:\r\nhello you'))
    assert.equal(second.text, 'hello you')
    one.write('root\r')
    await until(() => port.typed === 'root\r')
    two.write('x')
    await until(() => port.typed === 'root\rx')
  })

  it('ends for all when the run ends', async (context) => {
    const { serial, port } = await serialPort(context, 'bye\r\n')
    const seen = reading(attach(serial, true))
    port.socket?.end()
    await until(() => seen.ended && port.closed === 1)
    const late = reading(attach(serial, true))
    await until(() => late.ended)
    assert.equal(late.text, 'bye\r\n')
  })

  it('throws out a reader that takes nothing; neither the guest nor the others wait for it', async (context) => {
    const { serial, guestSays } = await serialPort(context)
    const [fast, slow] = [attach(serial, true), attach(serial, true)]
    const seen = reading(fast)
    const thrownOut = once(slow, 'error')
    const line = Buffer.alloc(64 * 1024, 'x')
    const lines = READER_BYTES_MAX / line.length + 4
    for (let count = 0; count < lines; count++) guestSays(line)
    const [error] = await thrownOut
    assert.equal((error as Error).name, 'TooSlow')
    await until(() => seen.text.length === lines * line.length)
    assert.equal(seen.error, undefined)
  })

  it('takes 32 at a time', async (context) => {
    const { serial } = await serialPort(context)
    const readers = Array.from({ length: READERS_MAX }, () => attach(serial, false))
    const refused = serial.attach(false)
    assert.ok(!refused.ok)
    assert.equal(refused.error.code, 'conflict')
    readers[0]?.destroy()
    attach(serial, false)
  })

  it('does not exist where nobody listens', async () => {
    const opened = await SerialConsole.open('/nowhere/tty.sock', '/nowhere/console.log', () => undefined)
    assert.ok(!opened.ok)
    assert.equal(opened.error.code, 'hypervisor')
    assert.match(opened.error.hint ?? '', /older version/)
  })
})

describe('the scroll-back', () => {
  it('keeps the newest 64 KiB, from the beginning of a line', () => {
    const scrollBack = new ScrollBack()
    for (let number = 0; number < 20_000; number++) scrollBack.add(Buffer.from(`line ${number}\r\n`))
    const content = scrollBack.content().toString()
    assert.ok(content.length <= SCROLL_BACK_BYTES && content.length > SCROLL_BACK_BYTES - 20)
    assert.match(content, /^line \d+\r\n/)
    assert.match(content, /line 19999\r\n$/)
  })

  it('shows what is in the log and in what the socket brought once', () => {
    const before = (log: string, received: string) => beforeReceived(Buffer.from(log), Buffer.from(received)).toString()
    assert.equal(before('abc', ''), 'abc')
    assert.equal(before('abc', 'xyz'), 'abc')
    assert.equal(before('abcxy', 'xyz'), 'abc', 'the log is behind')
    assert.equal(before('abcxyz', 'xyz'), 'abc')
    assert.equal(before('xyz', 'xyz'), '')
  })
})
