/**
 * A container in one file: `stead/guest.json`, which is whatever its keeper wants to know again, below `root/` the files of its
 * root, and below `disks/1/` and so on those of its further disks, with numeric owners, attributes, capabilities and holes. tar packed with zstd, so that it can be read without
 * Stead too. Read back like every archive of a root, by `root-archive.ts`, which knows it by its first member.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { DumpCompression } from '@stead/core/model/backup.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

export interface DumpSource {
  /** The root first, then the further disks. Other file systems that are mounted in one are left out. */
  readonly disks: readonly DumpedDisk[]
  readonly config: unknown
  /** An existing folder for the configuration while the dump is made. */
  readonly workFolder: string
  readonly compress: DumpCompression
}

/** Only the dump itself sees what is mounted for it: with the last program that reads, mount and loop device are gone. */
export type DumpedDisk =
  /** Where it is mounted, with the owners as the container sees them. */
  | { readonly kind: 'folder'; readonly path: string }
  /** A file with its file system. */
  | { readonly kind: 'image'; readonly path: string }

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
]

/** tar reads any file and does nothing else: of root's capabilities it has only that one. */
const CONFINED = [
  ...['setpriv', '--no-new-privs', '--inh-caps=-all,+dac_read_search', '--bounding-set=-all,+dac_read_search', '--'],
]

const MOUNT = `set -e
while [ "$1" != -- ]; do
  if [ "$1" = image ]; then mount -t ext4 -o loop,ro,nodev,nosuid,noexec "$2" "$3"; else mount --bind "$2" "$3"; fi
  shift 3
done
shift
exec "$@"`

/** Where a disk's files are in the archive; 0 is the root. */
export const dumpedFolder = (number: number): string => (number === 0 ? 'root' : `disks/${number}`)

export async function dumpContainer(source: DumpSource): Promise<ContainerDump> {
  const { disks, config, workFolder, compress } = source
  const folder = await mkdtemp(join(workFolder, 'dump-'))
  await mkdir(join(folder, 'stead'))
  await writeFile(join(folder, 'stead/guest.json'), JSON.stringify(config))
  const names = disks.map((_, number) => dumpedFolder(number))
  for (const name of names) await mkdir(join(folder, name), { recursive: true })
  const mounts = disks.flatMap(({ kind, path }, number) => [kind, path, join(folder, dumpedFolder(number))])
  const reading = [
    ...['unshare', '--mount', '--propagation', 'private', '--', 'sh', '-c', MOUNT, 'sh', ...mounts, '--'],
    ...[...CONFINED, 'tar', ...TAR, '-C', folder, 'stead/guest.json', ...names],
  ]
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
