/**
 * A container in one file: `stead/guest.json`, which is whatever its keeper wants to know again, and below `root/` its
 * files, with numeric owners, attributes, capabilities and holes. tar packed with zstd, so that it can be read without
 * Stead too. Read back like every archive of a root, by `root-archive.ts`, which knows it by its first member.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

export interface DumpSource {
  /** Where its root is mounted, with the owners as the container sees them. */
  readonly root: string
  /** Other file systems that are mounted in it are left out. */
  readonly config: unknown
  /** An existing folder for the configuration while the dump is made. */
  readonly workFolder: string
  /**
   * A file with its file system, to be mounted at `root` first. Only the dump itself sees that, in a mount namespace of
   * its own: with the last program that reads, mount and loop device are gone, whoever dies.
   */
  readonly image?: string
  readonly compress: DumpCompression
}

export type DumpCompression = 'zstd' | 'none'

export interface ContainerDump {
  /** The archive. Destroying it ends the dump. */
  readonly content: Readable
  /** Whether the archive is whole; read `content` to its end first, or destroy it. */
  readonly ended: Promise<Result<void>>
}

const COMPLAINT_BYTES_MAX = 64 * 1024
/** A file that a running container changed, or removed, while it was read: tar says so, and its end is no failure. */
const CHANGED_MEANWHILE = 1

const TAR = [
  ...['--create', '--file=-', '--format=posix', '--numeric-owner', '--sparse', '--one-file-system'],
  ...['--acls', '--xattrs', '--xattrs-include=user.*', '--xattrs-include=security.capability'],
  // Sockets are made anew by whoever listens on them.
  ...['--warning=no-file-ignored', '--warning=no-file-changed', '--warning=no-file-removed'],
  // Names, and what hard links name; symbolic links say what they said.
  ...['--transform=flags=rh;s,^\\.$,root,', '--transform=flags=rh;s,^\\./,root/,'],
]

/** tar reads any file and does nothing else: of root's capabilities it has only that one. */
const CONFINED = [
  ...['setpriv', '--no-new-privs', '--inh-caps=-all,+dac_read_search', '--bounding-set=-all,+dac_read_search', '--'],
]

const MOUNT = `set -e
mount -t ext4 -o loop,ro,nodev,nosuid,noexec "$1" "$2"
shift 2
exec "$@"`

export async function dumpContainer(source: DumpSource): Promise<ContainerDump> {
  const { root, config, workFolder, image, compress } = source
  const folder = await mkdtemp(join(workFolder, 'dump-'))
  await mkdir(join(folder, 'stead'))
  await writeFile(join(folder, 'stead/guest.json'), JSON.stringify(config))
  const mounted =
    image === undefined
      ? []
      : ['unshare', '--mount', '--propagation', 'private', '--', 'sh', '-c', MOUNT, 'sh', image, root]
  const reading = [...mounted, ...CONFINED, 'tar', ...TAR, '-C', folder, 'stead/guest.json', '-C', root, '.']
  const tar = spawn(reading[0] ?? '', reading.slice(1), {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' },
  })
  const packing = compress === 'none' ? ['cat'] : ['zstd', '-qc', '-3', '-T2']
  const packer = spawn(packing[0] ?? '', packing.slice(1), { stdio: [tar.stdout, 'pipe', 'ignore'] })
  // The child has it; whoever holds it as well would keep tar writing into nothing.
  tar.stdout.destroy()
  let complaint = ''
  tar.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (complaint.length < COMPLAINT_BYTES_MAX) complaint += text
  })
  const content = packer.stdout
  content.on('close', () => {
    // Read to the end: both are about to end by themselves.
    if (content.readableEnded) return
    for (const child of [tar, packer]) if (child.exitCode === null) child.kill('SIGKILL')
  })
  const ended = Promise.all([codeOf(tar), codeOf(packer)]).then(async ([read, packed]): Promise<Result<void>> => {
    await rm(folder, { recursive: true, force: true })
    if ((read === 0 || read === CHANGED_MEANWHILE) && packed === 0) return ok()
    const said = complaint.trim().split('\n').slice(-3).join('; ')
    return fail(
      failure('storage', `The container could not be dumped: ${said || 'it was ended'}`, { cause: complaint }),
    )
  })
  return { content, ended }
}

async function codeOf(child: ReturnType<typeof spawn>): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  return await once(child, 'exit').then(
    ([code]) => code as number | null,
    () => null,
  )
}
