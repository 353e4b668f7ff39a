/**
 * Notes when the datagrams of `recorder tick` arrive: a line for each, `ADDRESS NUMBER MS` by the machine's monotonic
 * clock. A program of its own, since it must run in a network namespace of its own: `tick-listener.ts PORT FILE`.
 */
import { createSocket } from 'node:dgram'
import { createWriteStream } from 'node:fs'

const [port = '', file = ''] = process.argv.slice(2)
const notes = createWriteStream(file)
const socket = createSocket('udp4')
socket.on('message', (message, { address }) => {
  notes.write(`${address} ${message.toString()} ${(Number(process.hrtime.bigint()) / 1e6).toFixed(2)}\n`)
})
socket.bind(Number(port))
