/**
 * The lab's guest with QEMU's guest agent in it: the same kernel and initramfs, followed by a second archive that holds
 * Debian's qemu-ga and the libraries it needs, as this machine has them. `stead.run=cmd:BASE64` starts it, see
 * `START_GUEST_AGENT`.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { ok, type Result } from '@stead/core/result.ts'
import { cpioArchive, type ArchiveEntry } from './cpio-archive.ts'
import { buildGuestImage, type GuestImage } from './guest-image.ts'
import { runCommand } from './run-command.ts'
import { writeWhole } from './write-whole.ts'

/** To be run in the guest. Returns; the agent goes on. */
export const START_GUEST_AGENT = 'mkdir -p /run; qemu-ga -d -p "$(ls /dev/vport*p1)" -t /run -f /run/qga.pid'

export async function buildGuestAgentImage(repository: string): Promise<Result<GuestImage>> {
  const base = await buildGuestImage(repository)
  if (!base.ok) return base
  const cache = join(repository, '.cache', 'guest')
  const program = join(cache, 'qemu-ga')
  if (!existsSync(program)) {
    const fetched = await fetchAgent(cache, program)
    if (!fetched.ok) return fetched
  }
  const libraries = await runCommand('ldd', [program])
  if (!libraries.ok) return libraries
  const files = [...libraries.value.matchAll(/(\/\S+) \(0x/g)].map(([, path = '']) => path)
  const archive = gzipSync(cpioArchive(agentEntries(program, files)), { level: 6 })
  const initrd = Buffer.concat([readFileSync(base.value.initrd), archive])
  const image: GuestImage = { kernel: base.value.kernel, initrd: join(cache, 'initrd-agent.img') }
  const stamp = join(cache, 'initrd-agent.sha256')
  const digest = createHash('sha256').update(initrd).digest('hex')
  if (existsSync(stamp) && existsSync(image.initrd) && readFileSync(stamp, 'utf8') === digest) return ok(image)
  writeWhole(image.initrd, initrd)
  writeWhole(stamp, digest)
  return ok(image)
}

function agentEntries(program: string, libraries: readonly string[]): ArchiveEntry[] {
  const folders = new Set<string>()
  for (const path of libraries)
    for (let folder = dirname(path).slice(1); folder !== '.' && folder !== ''; folder = dirname(folder))
      folders.add(folder)
  const file = (path: string, from: string) => ({ path, content: readFileSync(from), mode: 0o755 })
  return [
    ...[...folders].toSorted().map((path) => ({ path, folder: true as const })),
    file('bin/qemu-ga', program),
    ...libraries.map((path) => file(path.slice(1), path)),
  ]
}

/** Unpacked from its package; nothing is installed on this machine, where a guest agent has no business. */
async function fetchAgent(cache: string, target: string): Promise<Result<void>> {
  mkdirSync(cache, { recursive: true })
  const work = mkdtempSync(join(cache, 'fetch-'))
  try {
    const fetched = await runCommand('apt-get', ['-q', 'download', 'qemu-guest-agent'], {
      cwd: work,
      timeoutMs: 120_000,
    })
    if (!fetched.ok) return fetched
    const deb = readdirSync(work).find((file) => file.endsWith('.deb')) ?? ''
    const unpacked = await runCommand('dpkg-deb', ['-x', join(work, deb), join(work, 'root')], { timeoutMs: 60_000 })
    if (!unpacked.ok) return unpacked
    renameSync(join(work, 'root', 'usr', 'sbin', 'qemu-ga'), target)
    return ok()
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
