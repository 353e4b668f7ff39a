/**
 * What an unpacked root file system tells of itself. It is a stranger's, so links are followed as a process in it would
 * see them, never out of it, and files are read to a limit. Nothing else works on it meanwhile.
 */
import { constants } from 'node:fs'
import { lstat, open, readlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { RootFacts } from '@stead/core/model/container-template.ts'

const LINKS_MAX = 40
const TEXT_BYTES_MAX = 64 * 1024

/** As the kernel tries them. */
const INITS = ['/sbin/init', '/etc/init', '/bin/init']

/** Of each init the signal on which it shuts everything down. */
const HALT_SIGNALS: ReadonlyMap<string, string> = new Map([
  ['systemd', 'SIGRTMIN+3'],
  // BusyBox: SIGUSR1 halts, SIGUSR2 powers off, SIGTERM reboots. In a container the first two are one.
  ['busybox', 'SIGUSR1'],
  ['runit-init', 'SIGCONT'],
  ['openrc-init', 'SIGTERM'],
])
/** System V's init and upstart: as if the power failed, which LXC's templates made a shutdown. */
const OTHER_HALT_SIGNAL = 'SIGPWR'

/** ELF's numbers, by Debian's names. */
const MACHINES: Readonly<Record<number, string>> = {
  ...{ 3: 'i386', 20: 'powerpc', 21: 'ppc64el', 22: 's390x', 40: 'armhf', 62: 'amd64', 183: 'arm64', 243: 'riscv64' },
}

export interface FoundRoot extends Pick<RootFacts, 'os' | 'architecture'> {
  /** The first init that is there, and how it halts. */
  readonly init?: { readonly command: string; readonly haltSignal: string }
}

export async function inspectRoot(root: string): Promise<FoundRoot> {
  const inits = await Promise.all(INITS.map((path) => resolveInside(root, path)))
  const found = inits.findIndex((path) => path !== undefined)
  const init = inits[found]
  const os = titleOf((await textInside(root, '/etc/os-release')) ?? (await textInside(root, '/usr/lib/os-release')))
  const architecture = (await machineOf(init)) ?? (await machineOf(await resolveInside(root, '/bin/sh')))
  return {
    ...(init === undefined
      ? {}
      : { init: { command: INITS[found] ?? '', haltSignal: HALT_SIGNALS.get(basename(init)) ?? OTHER_HALT_SIGNAL } }),
    os,
    architecture: architecture ?? '',
  }
}

/** Where on this host a plain file of the root lies, links followed inside; undefined when it is not there. */
export async function resolveInside(root: string, path: string): Promise<string | undefined> {
  let left = path.split('/')
  let inside: string[] = []
  for (let links = 0; left.length > 0;) {
    const [part = '', ...after] = left
    left = after
    if (part === '' || part === '.') continue
    if (part === '..') {
      inside.pop()
      continue
    }
    const here = join(root, ...inside, part)
    const found = await lstat(here).catch(() => undefined)
    if (!found) return undefined
    if (found.isSymbolicLink()) {
      if (++links > LINKS_MAX) return undefined
      const target = await readlink(here)
      if (target.startsWith('/')) inside = []
      left = [...target.split('/'), ...left]
      continue
    }
    if (left.some((each) => each !== '' && each !== '.') ? !found.isDirectory() : !found.isFile()) return undefined
    inside.push(part)
  }
  return inside.length === 0 ? undefined : join(root, ...inside)
}

export async function textInside(root: string, path: string, bytesMax = TEXT_BYTES_MAX): Promise<string | undefined> {
  const at = await resolveInside(root, path)
  return at === undefined ? undefined : (await readStart(at, bytesMax)).toString('utf8')
}

async function readStart(path: string, length: number): Promise<Buffer> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0)
  return buffer.subarray(0, bytesRead)
}

function titleOf(text = ''): string {
  const field = (name: string) => {
    const value = new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1]?.trim() ?? ''
    // Shown to people: no control characters, and not at any length.
    return value
      .replaceAll(/^(["'])(.*)\1$/g, '$2')
      .replaceAll(/\p{C}/gu, '')
      .slice(0, 100)
  }
  return field('PRETTY_NAME') || `${field('ID')} ${field('VERSION_ID')}`.trim()
}

async function machineOf(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined
  const head = await readStart(path, 20)
  if (head.length < 20 || head.toString('latin1', 0, 4) !== '\x7fELF') return undefined
  return MACHINES[head[5] === 2 ? head.readUInt16BE(18) : head.readUInt16LE(18)]
}
