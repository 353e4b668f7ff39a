/** Entry point of the process that stands beside a lab's hosts, its door and its power strip: LAB NOTE_FILE FIRST_PORT SOCKET... */
import { runForwarder } from './forwarder.ts'
import { runPowerStrip } from './power-strip.ts'
import { labPlaces } from './topology.ts'

const [lab, noteFile = '', firstPort = '', ...sockets] = process.argv.slice(2)
const places = labPlaces(process.env, lab)
if (!places.ok) throw new Error(places.error.message)
await runPowerStrip(process.env, places.value)
await runForwarder(noteFile, Number(firstPort), sockets)
