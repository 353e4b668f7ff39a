import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { ProbeCheck } from '@stead/core/model/probe.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, ok } from '@stead/core/result.ts'
import { realClock } from '../real-clock.ts'
import { HostGuestProbe } from './host-guest-probe.ts'

const guest = 'guest-web' as GuestId
const address = '127.0.0.1'

async function listening(context: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, address, resolve))
  context.after(() => server.close())
  return (server.address() as AddressInfo).port
}

function web(context: TestContext, answer: RequestListener): Promise<number> {
  const server = createServer(answer)
  context.after(() => server.closeAllConnections())
  return listening(context, server)
}

/** Its addresses as the agent inside the guest tells them; undefined: no agent answers. */
function probeOf(addresses?: readonly string[], consoleLogPath = () => '/nowhere'): HostGuestProbe {
  const none = fail(failure('no_guest_agent', 'No agent answers in web'))
  return new HostGuestProbe({
    consoleLogPath,
    clock: realClock,
    agent: {
      ping: async () => (addresses ? ok() : none),
      interfaces: async () => (addresses ? ok([{ name: 'eth0', mac: '', addresses }]) : none),
    },
  })
}

async function reasonOf(probe: HostGuestProbe, check: ProbeCheck, timeoutMs = 5_000): Promise<string> {
  const outcome = await probe.attempt(guest, check, timeoutMs)
  return outcome.succeeded ? '' : outcome.reason
}

test('a connection that is taken, one that is refused, and one that nobody answers', async (context) => {
  const probe = probeOf()
  const port = await listening(
    context,
    createTcpServer((socket) => socket.destroy()),
  )
  assert.equal(await reasonOf(probe, { kind: 'tcp', address, port }), '')
  assert.match(await reasonOf(probe, { kind: 'tcp', address, port: 1 }), /127\.0\.0\.1:1 refuses connections/)
})

test('a status, a body, and an answer that never comes', async (context) => {
  const probe = probeOf()
  const port = await web(context, (request, response) => {
    if (request.url === '/silent') return
    response.writeHead(request.url === '/broken' ? 503 : 200)
    if (request.url === '/endless') {
      const timer = setInterval(() => response.write('x'.repeat(10_000)), 1)
      response.once('close', () => clearInterval(timer))
      return
    }
    response.end('status: all good')
  })
  const check = (path: string, more: object = {}): ProbeCheck => ({ kind: 'http', address, port, path, ...more })
  assert.equal(await reasonOf(probe, check('/')), '')
  assert.equal(await reasonOf(probe, check('/', { body: 'all good' })), '')
  assert.match(await reasonOf(probe, check('/', { body: 'all bad' })), /does not contain "all bad"/)
  assert.match(await reasonOf(probe, check('/broken')), /status 503, not 200 to 399/)
  assert.equal(await reasonOf(probe, check('/broken', { status: 503 })), '')
  assert.match(await reasonOf(probe, check('/endless', { body: 'y' })), /does not contain/)
  assert.match(await reasonOf(probe, check('/silent'), 50), /did not answer within 50 ms/)
})

function consoleOf(context: TestContext, text: string) {
  const folder = mkdtempSync(join(tmpdir(), 'stead-console-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'console.log')
  writeFileSync(path, text)
  const probe = probeOf(undefined, () => path)
  const says = async (find: string, as: 'text' | 'pattern' = 'text') =>
    (await probe.attempt(guest, { kind: 'console', find, as }, 1_000)).succeeded
  return { path, probe, says }
}

test('a text on the console, also where it comes in parts or in a line that does not end', async (context) => {
  const { path, probe, says } = consoleOf(context, 'booting\r\nwel')
  assert.equal(await says('welcome'), false)
  appendFileSync(path, 'come\nlogin: ')
  assert.equal(await says('welcome'), true)
  assert.equal(await says('^login: $', 'pattern'), true, 'what was read before is looked at again for something else')
  probe.hasRebooted(guest)
  assert.equal(await says('^login: $', 'pattern'), false)
  appendFileSync(path, '\nbooting\nlogin: ')
  assert.equal(await says('^login: $', 'pattern'), true)
})

test('a console without lines and a hostile pattern cost no time', async (context) => {
  const { path, says } = consoleOf(context, 'a'.repeat(3_000_000))
  for (let count = 0; count < 20; count++) assert.equal(await says('(a+)+!', 'pattern'), false)
  appendFileSync(path, '\na!\n')
  assert.equal(await says('(a+)+!', 'pattern'), true)
})

test('no console yet is no success', async () => {
  const probe = probeOf()
  assert.match(await reasonOf(probe, { kind: 'console', find: 'x', as: 'text' }), /has not said "x" yet/)
})

test('the agent inside the guest: whether it answers, and the address that it tells', async () => {
  assert.equal(await reasonOf(probeOf([]), { kind: 'agent' }), '')
  assert.match(await reasonOf(probeOf(), { kind: 'agent' }), /No agent answers/)
  const check = { kind: 'tcp', port: 1 } as const
  assert.match(await reasonOf(probeOf(), check), /its address is not known: No agent answers/)
  // What a guest says of itself must not make its host ask its own services.
  assert.match(await reasonOf(probeOf(['127.0.0.1/8', '::1/128', 'fe80::1/64']), check), /it tells no address/)
  // TEST-NET-1: nobody is there.
  assert.match(await reasonOf(probeOf(['fe80::1/64', '192.0.2.1/24']), check, 50), /192\.0\.2\.1:1/)
})
