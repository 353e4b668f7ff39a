/**
 * Run in a network namespace of its own: this host, another one of the cluster, and a guest on the same network. Prints
 * whom the ports of storage daemon and gate let in, before and after the door is shut, and with a host of an older version.
 */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { promisify } from 'node:util'
import { GATE_PORT_FIRST as GATE, NBD_PORT_FIRST as CLEAR, shutDoor } from './storage-door.ts'

const [HOST, OTHER, GUEST] = ['10.9.0.1', '10.9.0.2', '10.9.0.3']
const [HOST6, OTHER6, GUEST6] = ['fd00:9::1', 'fd00:9::2', 'fd00:9::3']
const WAIT_MS = 400
/** Nine programs begin at a time; who is dropped waits for all of it. */
const CONNECT_MS = 4_000

const ip = (line: string) => execFileSync('ip', line.split(' '))
const peer = spawn('unshare', ['--net', 'sleep', '300'], { stdio: 'ignore' })
// Its namespace is there once the program has become another one.
await new Promise((resolve) => setTimeout(resolve, WAIT_MS))
const inPeer = (line: string) => execFileSync('nsenter', [`--net=/proc/${peer.pid}/ns/net`, ...line.split(' ')])
ip('link set lo up')
ip('link add here type veth peer name there')
ip(`link set there netns ${peer.pid}`)
ip(`addr add ${HOST}/24 dev here`)
ip(`addr add ${HOST6}/64 dev here nodad`)
ip('link set here up')
for (const address of [OTHER, GUEST]) inPeer(`ip addr add ${address}/24 dev there`)
for (const address of [OTHER6, GUEST6]) inPeer(`ip addr add ${address}/64 dev there nodad`)
inPeer('ip link set there up')

const daemons = [CLEAR, CLEAR + 2, GATE].map((port) => createServer((socket) => socket.end('in')).listen(port, '::'))
await Promise.all(daemons.map((daemon) => once(daemon, 'listening')))

const CLIENT = `
const [host, port, localAddress] = process.argv.slice(1)
const socket = require('node:net').connect({ host, port: Number(port), localAddress })
const end = (text) => { console.log(text); process.exit() }
socket.on('data', () => end('in')).on('error', () => end('out'))
setTimeout(() => end('out'), ${CONNECT_MS})`

async function from(address: string, to: string, port: number): Promise<string> {
  const line = [`--net=/proc/${peer.pid}/ns/net`, process.execPath, '-e', CLIENT, to, String(port), address]
  return (await promisify(execFile)('nsenter', line)).stdout.trim()
}

async function fromHere(to: string): Promise<string> {
  const socket = connect(CLEAR, to)
  const [data] = await once(socket, 'data')
  return String(data)
}

async function seen() {
  const both = (address: string, address6: string, port: number) =>
    Promise.all([from(address, HOST, port), from(address6, HOST6, port)])
  const [other, otherInClear, guest, guestInClear, guestElsewhere, here] = await Promise.all([
    both(OTHER, OTHER6, GATE),
    both(OTHER, OTHER6, CLEAR),
    both(GUEST, GUEST6, GATE),
    both(GUEST, GUEST6, CLEAR),
    from(GUEST, HOST, CLEAR + 2),
    Promise.all([fromHere('127.0.0.1'), fromHere(HOST)]),
  ])
  return { other, otherInClear, guest, guestInClear, guestElsewhere, here }
}

/** A connection that an older version's guest has had since before. */
function keptOpen() {
  const CHAT = `require('node:net').connect(${CLEAR + 1}, '${HOST}').on('data', (data) => process.stdout.write(data))`
  const client = spawn('nsenter', [`--net=/proc/${peer.pid}/ns/net`, process.execPath, '-e', CHAT])
  return once(client.stdout, 'data').then(() => client)
}

const old = createServer((socket) => {
  socket.write('hello')
  setInterval(() => socket.write('more'), 50).unref()
}).listen(CLEAR + 1, '::')
await once(old, 'listening')
const kept = await keptOpen()

const members = [HOST, OTHER, HOST6, OTHER6]
const before = await seen()
const shut = await shutDoor({ pools: 2, members, inClear: [] })
const after = await seen()
const goesOn = await once(kept.stdout, 'data')
  .then(() => once(kept.stdout, 'data'))
  .then(() => true)
const again = await shutDoor({ pools: 2, members, inClear: [] })
await shutDoor({ pools: 2, members, inClear: [OTHER, OTHER6] })
const withOld = await seen()
kept.kill('SIGKILL')
peer.kill('SIGKILL')
if (!shut.ok) throw shut.error
console.log(JSON.stringify({ before, after, withOld, goesOn, isSame: again.ok && shut.value === again.value }))
process.exit()
