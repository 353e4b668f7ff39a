/** Entry point of the forwarder's process: NOTE_FILE FIRST_PORT SOCKET... */
import { runForwarder } from './forwarder.ts'

const [noteFile = '', firstPort = '', ...sockets] = process.argv.slice(2)
await runForwarder(noteFile, Number(firstPort), sockets)
