/**
 * What may be in an archive of a root file system. A path out of it, a hard link to something that is not in it, a
 * member behind a symbolic link, a device, an id that no container has, and more than was agreed make the whole of it
 * refused: each was put there to harm whoever unpacks it, or would be lost silently. Symbolic links may point anywhere;
 * nothing is ever written through one.
 */
import { failure, FailureError } from '@stead/core/errors.ts'
import { refusedArchive, shownName, type TarEntry } from './tar-stream.ts'

export interface RootLimits {
  readonly filesMax: number
  /** Of all files together, once unpacked. */
  readonly bytesMax: number
  /** Free where it is unpacked; more is refused as lack of room, not as a fault of the archive. */
  readonly roomBytes: number
}

/** User and group ids of a container. */
const IDS = 65_536
const PATH_BYTES_MAX = 4095
const NAME_BYTES_MAX = 255

/** Devices that every container is given anyway: null, zero, full, random, urandom, tty, console, ptmx, fuse, tun. */
const USUAL_DEVICES = new Set(['1:3', '1:5', '1:7', '1:8', '1:9', '5:0', '5:1', '5:2', '10:229', '10:200'])

type Kind = 'folder' | 'symbolic-link' | 'left-out' | 'other'

export class RootJudge {
  readonly #limits: RootLimits
  readonly #kinds = new Map<string, Kind>()
  readonly #leftOut: string[] = []
  readonly #onBytes: (bytes: number) => void
  #files = 0
  #bytes = 0

  /** `onBytes`: told after each member how much all of them hold. */
  constructor(limits: RootLimits, onBytes: (bytes: number) => void) {
    this.#limits = limits
    this.#onBytes = onBytes
  }

  /** Devices that were left out, by their paths. */
  get leftOut(): readonly string[] {
    return this.#leftOut
  }

  kindOf(path: string): Kind | undefined {
    return this.#kinds.get(path)
  }

  /** What a layer takes away: these and all below them, and all below those. */
  forget(gone: ReadonlySet<string>, emptied: ReadonlySet<string>): void {
    if (gone.size + emptied.size === 0) return
    for (const path of this.#kinds.keys()) {
      let forgotten = gone.has(path) || emptied.has('.')
      for (let slash = path.lastIndexOf('/'); slash !== -1 && !forgotten; slash = path.lastIndexOf('/', slash - 1)) {
        const above = path.slice(0, slash)
        forgotten = gone.has(above) || emptied.has(above)
      }
      if (forgotten) this.#kinds.delete(path)
    }
  }

  judge = (entry: TarEntry): 'take' | 'leave-out' => {
    const path = cleanPath(entry.name, entry.name)
    if (path === '') {
      if (entry.type !== 'folder') throw refusedArchive('its root is no folder')
      return 'take'
    }
    this.#count(entry)
    for (const id of [entry.uid, entry.gid])
      if (id >= IDS) throw refusedArchive(`${shownName(path)} belongs to the id ${id}; a container has 0 to ${IDS - 1}`)
    this.#checkAbove(path)
    if (entry.type === 'character-device' || entry.type === 'block-device') {
      if (!isUsualDevice(path, entry)) throw refusedArchive(`${shownName(path)} is a device`)
      return this.#leaveOut(path)
    }
    if (entry.type === 'hard-link') {
      const target = cleanPath(entry.target, entry.name)
      const kind = this.#kinds.get(target)
      if (kind === 'left-out') return this.#leaveOut(path)
      if (kind === undefined || kind === 'folder')
        throw refusedArchive(`${shownName(path)} is a hard link to ${shownName(target)}, which is no file in it`)
    }
    const kind = entry.type === 'folder' || entry.type === 'symbolic-link' ? entry.type : 'other'
    const was = this.#kinds.get(path)
    if (was === 'folder' && kind !== 'folder')
      throw refusedArchive(`${shownName(path)} is a folder in it, and something else as well`)
    this.#kinds.set(path, kind)
    return 'take'
  }

  #count({ sizeBytes, storedBytes, name }: TarEntry): void {
    const { filesMax, bytesMax, roomBytes } = this.#limits
    this.#files += 1
    this.#bytes += storedBytes
    this.#onBytes(this.#bytes)
    if (this.#files > filesMax) throw refusedArchive(`it holds more than ${filesMax} files`)
    // A file of holes takes no room, but must fit on a volume all the same.
    if (this.#bytes > bytesMax || sizeBytes > bytesMax)
      throw refusedArchive(`${shownName(name)} makes it larger than ${bytesMax} bytes unpacked`)
    if (this.#bytes > roomBytes)
      throw new FailureError(
        failure('no_capacity', `The archive holds more than the ${Math.max(0, roomBytes)} bytes that are free here`, {
          hint: "Free space under the agent's state folder, or import at another host.",
        }),
      )
  }

  #checkAbove(path: string): void {
    for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
      const above = path.slice(0, slash)
      const kind = this.#kinds.get(above)
      if (kind === 'symbolic-link')
        throw refusedArchive(`${shownName(path)} lies behind the symbolic link ${shownName(above)}`)
      if (kind === 'other' || kind === 'left-out')
        throw refusedArchive(`${shownName(path)} lies below ${shownName(above)}, which is no folder`)
      if (kind === undefined) this.#kinds.set(above, 'folder')
    }
  }

  #leaveOut(path: string): 'leave-out' {
    this.#kinds.set(path, 'left-out')
    this.#leftOut.push(Buffer.from(path, 'latin1').toString('utf8'))
    return 'leave-out'
  }
}

/** Without `.` and doubled slashes; the root is empty. */
export function cleanPath(path: string, shown: string): string {
  if (path.startsWith('/')) throw refusedArchive(`${shownName(shown)} names an absolute path`)
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.includes('..')) throw refusedArchive(`${shownName(shown)} names a path out of it`)
  if (path.length > PATH_BYTES_MAX || parts.some((part) => part.length > NAME_BYTES_MAX || part.includes('\0')))
    throw refusedArchive(`${shownName(shown)} is no path of Linux`)
  return parts.join('/')
}

/** Old systems bring hundreds of device files in `dev`; a container has its own `/dev`, so nothing is lost. */
function isUsualDevice(path: string, { type, device }: TarEntry): boolean {
  if (/^([^/]+\/)?dev\//.test(path)) return true
  return type === 'character-device' && USUAL_DEVICES.has(device.join(':'))
}
