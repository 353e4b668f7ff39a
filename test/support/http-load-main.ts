/**
 * Many clients of the public port, good and bad, until the standard input ends; then what they were answered, as JSON.
 * Runs on the lab's LAN: `node http-load-main.ts TOKEN ADDRESS…`.
 */
import { Agent, request } from 'node:https'
import { connect, type TLSSocket } from 'node:tls'

const PORT = 8443
/** Of each kind, for each host: more of them wait for the processor that all hosts of a lab share, and measure only that. */
const COUNT = { lists: 3, signIns: 2, streams: 20, slow: 10, oversized: 1 }
const PAUSE_MS = 5
/** More than a JSON body may have. */
const OVERSIZED = Buffer.alloc(1_200_000, 'x')

const [token = '', ...addresses] = process.argv.slice(2)
const PATHS = ['/v1/guests', '/v1/events', '/v1/what-if/every-single-failure', '/v1/hosts']
const authorization = { authorization: `Bearer ${token}` }
/** What the lab's hosts show is not what is tested here. */
const tls = { rejectUnauthorized: false }
const connections = new Agent({ keepAlive: true, ...tls })
/** How often each kind of client was answered with which status; `broken`: not at all. */
const answers: Record<string, Record<string, number>> = {}
let isOver = false

function count(kind: string, answer: number | string): void {
  const of = (answers[kind] ??= {})
  of[answer] = (of[answer] ?? 0) + 1
}

function ask(kind: string, host: string, path: string, body?: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const method = body === undefined ? 'GET' : 'POST'
    const length = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length }
    const headers = { ...(kind === 'sign-in' ? {} : authorization), ...length }
    let status: number | undefined
    const asked = request({ host, port: PORT, agent: connections, method, path, headers }, (answer) => {
      status = answer.statusCode ?? 0
      answer.resume()
    })
    asked.once('error', () => (status ??= 0))
    asked.once('close', () => {
      count(kind, status || 'broken')
      resolve()
    })
    asked.end(body)
  })
}

async function again(once: () => Promise<void>, pauseMs = PAUSE_MS): Promise<void> {
  while (!isOver) {
    await once()
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}

/** Counts each part that comes. */
function follow(host: string, path: string): void {
  const asked = request({ host, port: PORT, ...tls, path, headers: authorization }, (answer) => {
    answer.on('data', () => count('stream', answer.statusCode ?? 0))
    answer.on('error', () => undefined)
  })
  asked.on('error', () => count('stream', 'broken'))
  asked.end()
}

/** A body that never ends, a byte now and then; another one when the host has had enough. */
function dribble(host: string): void {
  const socket: TLSSocket = connect({ host, port: PORT, ...tls }, () => {
    count('slow', 'begun')
    socket.write(`POST /v1/projects HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n`)
    socket.write('content-type: application/json\r\ncontent-length: 500000\r\n\r\n')
    timer = setInterval(() => socket.write(' '), 50)
  })
  let timer: NodeJS.Timeout | undefined
  socket.on('error', () => undefined)
  socket.once('close', () => {
    clearInterval(timer)
    if (!isOver) setTimeout(() => dribble(host), 100)
  })
  socket.resume()
}

// A token that the host has seen does not wait for what strangers at the same address try.
for (const host of addresses) await ask('list', host, PATHS[0]!)

const wrong = Buffer.from(JSON.stringify({ user: 'root', password: 'wrong and long enough' }))
const clients = addresses.flatMap((host) => [
  ...Array.from({ length: COUNT.lists }, (_, index) => {
    let number = index
    return again(() => ask('list', host, PATHS[number++ % PATHS.length]!))
  }),
  ...Array.from({ length: COUNT.signIns }, () => again(() => ask('sign-in', host, '/v1/auth/sign-in', wrong), 50)),
  ...Array.from({ length: COUNT.oversized }, () => again(() => ask('oversized', host, '/v1/projects', OVERSIZED), 50)),
])
for (const host of addresses) {
  for (let number = 0; number < COUNT.streams; number++)
    follow(host, number % 2 === 0 ? '/v1/views?follow=true' : '/v1/events?follow=true')
  for (let number = 0; number < COUNT.slow; number++) dribble(host)
}

process.stdout.write('begun\n')
process.stdin.resume()
process.stdin.once('end', () => {
  isOver = true
  void Promise.all(clients).then(() => {
    process.stdout.write(`${JSON.stringify(answers)}\n`, () => process.exit(0))
  })
})
