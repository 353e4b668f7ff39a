/**
 * Run in a network namespace of its own: this host, another one of the cluster, and a guest on the same network. Prints
 * whom the storage daemon's port let in, before and after the door is shut.
 */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { promisify } from 'node:util'
import { shutDoor } from './storage-door.ts'

const [HOST, OTHER, GUEST] = ['10.9.0.1', '10.9.0.2', '10.9.0.3']
const [HOST6, OTHER6, GUEST6] = ['fd00:9::1', 'fd00:9::2', 'fd00:9::3']
const PORT = 10_809
const WAIT_MS = 400

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

const daemons = [PORT, PORT + 2].map((port) => createServer((socket) => socket.end('in')).listen(port, '::'))
await Promise.all(daemons.map((daemon) => once(daemon, 'listening')))

const CLIENT = `
const [host, port, localAddress] = process.argv.slice(1)
const socket = require('node:net').connect({ host, port: Number(port), localAddress })
const end = (text) => { console.log(text); process.exit() }
socket.on('data', () => end('in')).on('error', () => end('out'))
setTimeout(() => end('out'), ${WAIT_MS * 3})`

async function from(address: string, to: string, port = PORT): Promise<string> {
  const line = [`--net=/proc/${peer.pid}/ns/net`, process.execPath, '-e', CLIENT, to, String(port), address]
  return (await promisify(execFile)('nsenter', line)).stdout.trim()
}

async function fromHere(to: string): Promise<string> {
  const socket = connect(PORT, to)
  const [data] = await once(socket, 'data')
  return String(data)
}

async function seen() {
  return {
    other: [await from(OTHER, HOST), await from(OTHER6, HOST6)],
    guest: [await from(GUEST, HOST), await from(GUEST6, HOST6)],
    guestElsewhere: await from(GUEST, HOST, PORT + 2),
    here: [await fromHere('127.0.0.1'), await fromHere(HOST)],
  }
}

const before = await seen()
const shut = await shutDoor({ firstPort: PORT, ports: 2, addresses: [HOST, OTHER, HOST6, OTHER6] })
const after = await seen()
const again = await shutDoor({ firstPort: PORT, ports: 2, addresses: [HOST, OTHER, HOST6, OTHER6] })
peer.kill('SIGKILL')
if (!shut.ok) throw shut.error
console.log(JSON.stringify({ before, after, isSame: again.ok && shut.value === again.value }))
process.exit()
