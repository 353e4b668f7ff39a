/**
 * What Stead needs of an OVF descriptor (DMTF DSP0243): the disks in the machine's order, its memory and processors.
 * Everything else (networks, products, licence texts) is left to the administrator.
 */
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import sax from 'sax'

export interface OvfMachine {
  /** File names of the disks, in the order in which the machine has them. */
  readonly disks: readonly string[]
  readonly memoryBytes?: number
  readonly cpus?: number
}

/** CIM's resource types. */
const PROCESSOR = '3'
const MEMORY = '4'
const DISK = '17'
const ELEMENTS_MAX = 100_000
const DISKS_MAX = 16

type Fields = Map<string, string>

interface Found {
  /** File names by id. */
  readonly files: Map<string, string>
  /** File ids by disk id. */
  readonly disks: Map<string, string>
  readonly items: Fields[]
  systems: number
}

export function parseOvf(text: string): Result<OvfMachine> {
  const found = readElements(text)
  if (!found.ok) return found
  const { files, disks, items, systems } = found.value
  if (systems > 1) return refuse('it describes several machines', 'Export each machine by itself.')
  const names: string[] = []
  for (const item of items.filter((each) => each.get('ResourceType') === DISK)) {
    const id = /^(?:ovf:)?\/?(?:\/)?disk\/(.+)$/.exec(item.get('HostResource') ?? '')?.[1] ?? ''
    const name = files.get(disks.get(id) ?? '')
    if (name === undefined) return refuse(`a disk of the machine has no file in it`)
    names.push(name)
  }
  if (names.length === 0) return refuse('the machine has no disk')
  if (names.length > DISKS_MAX) return refuse(`the machine has more than ${DISKS_MAX} disks`)
  const memory = items.find((each) => each.get('ResourceType') === MEMORY)
  const processor = items.find((each) => each.get('ResourceType') === PROCESSOR)
  const cpus = Number(processor?.get('VirtualQuantity'))
  const memoryBytes = Number(memory?.get('VirtualQuantity')) * unitBytes(memory?.get('AllocationUnits'))
  return ok({
    disks: names,
    ...(Number.isSafeInteger(memoryBytes) && memoryBytes > 0 ? { memoryBytes } : {}),
    ...(Number.isSafeInteger(cpus) && cpus > 0 ? { cpus } : {}),
  })
}

/** `byte * 2^20`, or as older exporters write it, `MegaBytes`. */
function unitBytes(text = 'byte * 2^20'): number {
  const power = /byte\s*\*\s*2\^(\d+)/i.exec(text)?.[1]
  if (power !== undefined) return 2 ** Number(power)
  if (/^(mb|megabytes?)$/i.test(text.trim())) return 2 ** 20
  if (/^(gb|gigabytes?)$/i.test(text.trim())) return 2 ** 30
  return /^bytes?$/i.test(text.trim()) ? 1 : Number.NaN
}

function readElements(text: string): Result<Found> {
  const found: Found = { files: new Map(), disks: new Map(), items: [], systems: 0 }
  const reader = sax.parser(true, { strictEntities: true } as sax.SAXOptions)
  let item: Fields | undefined
  let field: string | undefined
  let elements = 0
  const stop = (why: string): never => {
    throw new Error(why)
  }
  reader.onerror = (error) => stop(error.message.split('\n')[0] ?? 'not well-formed')
  // Where entities that grow without bound, or that read files, would be defined.
  reader.ondoctype = () => stop('a document type is not taken')
  reader.onopentag = ({ name, attributes }) => {
    if (++elements > ELEMENTS_MAX) stop('it has too many elements')
    const of = (wanted: string) =>
      Object.entries(attributes).flatMap(([key, value]) => (local(key) === wanted ? [String(value)] : []))[0] ?? ''
    const element = local(name)
    if (item) field = element
    else if (element === 'VirtualSystem') found.systems++
    else if (element === 'File') found.files.set(of('id'), of('href'))
    else if (element === 'Disk') found.disks.set(of('diskId'), of('fileRef'))
    // OVF 2 calls the items of disks and memory by other names, with the same fields.
    else if (/^(Item|StorageItem|EthernetPortItem)$/.test(element)) item = new Map()
  }
  reader.ontext = (value) => {
    if (item && field !== undefined) item.set(field, value.trim())
  }
  reader.onclosetag = (name) => {
    if (field !== undefined) field = undefined
    else if (item && /^(Item|StorageItem|EthernetPortItem)$/.test(local(name))) {
      found.items.push(item)
      item = undefined
    }
  }
  try {
    reader.write(text.replace(/^\uFEFF/, '')).close()
    return ok(found)
  } catch (cause) {
    return refuse(`its descriptor is not valid: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}

function local(name: string): string {
  return name.slice(name.indexOf(':') + 1)
}

function refuse(why: string, hint?: string): Result<never> {
  return fail(failure('invalid_image', `The OVA is refused: ${why}`, hint === undefined ? {} : { hint }))
}
