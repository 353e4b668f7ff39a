/** What btrfs tells of its subvolumes by files alone, so that counters start no program: /proc/self/mountinfo and /sys/fs/btrfs. */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { basename, join } from 'node:path'

/** `f_type` of statfs(2). */
export const BTRFS_MAGIC = 0x9123_683e

const SYSFS = '/sys/fs/btrfs'

export interface QuotaFigures {
  /** Of all that can be read in it, whoever shares it: what the limit is about. */
  readonly heldBytes: number
  /** Of what is its alone, and is free once it is deleted. */
  readonly ownBytes: number
  /** Absent: none. */
  readonly limitBytes?: number
}

export interface MountFacts {
  readonly place: string
  readonly fileSystem: string
  /** A device's path, where there is one. */
  readonly source: string
  /** Of btrfs: which subvolume is mounted. */
  readonly subvolumeId?: number
}

/** What is mounted exactly there; of several the topmost. */
export function mountAt(place: string): MountFacts | undefined {
  return mounts().findLast((mount) => mount.place === place)
}

/** What the path lies in. */
export function mountOf(path: string): MountFacts | undefined {
  const isBelow = ({ place }: MountFacts) => place === '/' || path === place || path.startsWith(`${place}/`)
  return mounts().filter(isBelow).reduce<MountFacts | undefined>(longer, undefined)
}

function longer(best: MountFacts | undefined, mount: MountFacts): MountFacts {
  return best && best.place.length > mount.place.length ? best : mount
}

/** proc_pid_mountinfo(5). */
function mounts(): readonly MountFacts[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [before = '', after] = line.split(' - ')
      const place = before.split(' ')[4]
      if (after === undefined || place === undefined) return []
      const [fileSystem = '', source = '', options = ''] = after.split(' ')
      const id = /(?:^|,)subvolid=(\d+)/.exec(options)?.[1]
      const facts = { place: unescaped(place), fileSystem, source: unescaped(source) }
      return [id === undefined ? facts : { ...facts, subvolumeId: Number(id) }]
    })
}

function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}

/** Undefined where quotas are off, or the subvolume is no more. */
export function qgroupOf(device: string, subvolumeId: number): QuotaFigures | undefined {
  const folder = qgroupsFolder(device)
  if (folder === undefined) return undefined
  const group = join(folder, `0_${subvolumeId}`)
  const held = figure(group, 'referenced')
  const own = figure(group, 'exclusive')
  if (held === undefined || own === undefined) return undefined
  const limit = figure(group, 'max_referenced') ?? 0
  return { heldBytes: held, ownBytes: own, ...(limit > 0 ? { limitBytes: limit } : {}) }
}

/** Where the kernel shows the quotas of the file system on that device; undefined: they are off. */
export function qgroupsFolder(device: string): string | undefined {
  const uuid = fileSystemOn(device)
  const folder = uuid === undefined ? undefined : join(SYSFS, uuid, 'qgroups')
  return folder !== undefined && existsSync(folder) ? folder : undefined
}

/** Those that no subvolume can have any more, or not yet: nothing is counted in them. */
export function emptyQgroups(device: string): readonly number[] {
  const folder = qgroupsFolder(device)
  if (folder === undefined) return []
  return readdirSync(folder).flatMap((name) => {
    const id = Number(/^0_(\d+)$/.exec(name)?.[1] ?? 0)
    return id > 5 && figure(join(folder, name), 'referenced') === 0 ? [id] : []
  })
}

function fileSystemOn(device: string): string | undefined {
  try {
    const name = basename(realpathSync(device))
    return readdirSync(SYSFS).find((uuid) => existsSync(join(SYSFS, uuid, 'devices', name)))
  } catch {
    return undefined
  }
}

function figure(group: string, name: string): number | undefined {
  try {
    return Number(readFileSync(join(group, name), 'utf8'))
  } catch {
    return undefined
  }
}
