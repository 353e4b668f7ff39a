/**
 * A CRIU that works on this kernel, for tests of live moves: the machine's own, or that of a newer Debian, unpacked with its
 * libraries into a folder of the repository's cache. Of the mirror that apt uses here, checked by apt against Debian's keys, and
 * nothing of it is installed.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, globSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const OWN = '/usr/sbin/criu'
/** That of Debian 13 is 4.1. */
const NEWER = 'sid'
/** Before, CRIU cannot write down a TCP connection on Linux 6.16 and later, which refuses an option that it asks for. */
const VERSION_MIN = 4.2
const CACHE = join(import.meta.dirname, '../../../../../.cache', `criu-${NEWER}`)
/** Of the package debian-archive-keyring, which every Debian has. */
const KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg'
const FETCH_MS_MAX = 180_000
const CHECK_MS_MAX = 30_000

export type WorkingCriu = { readonly path: string } | { readonly missing: string }

export function workingCriu(): WorkingCriu {
  if (works(OWN)) return { path: OWN }
  const path = join(CACHE, 'criu')
  try {
    if (!existsSync(path)) fetchNewer(path)
  } catch (error) {
    return {
      missing: `none could be fetched: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`,
    }
  }
  return works(path) ? { path } : { missing: 'the newest that there is fails its own check on this kernel' }
}

function works(criu: string): boolean {
  try {
    const options = { timeout: CHECK_MS_MAX, encoding: 'utf8' as const }
    const version = execFileSync(criu, ['--version'], options)
    if (!(Number.parseFloat(/Version: (\S+)/.exec(version)?.[1] ?? '') >= VERSION_MIN)) return false
    execFileSync('unshare', ['--net', 'sh', '-c', 'ip link set lo up && exec "$0" check', criu], options)
    return true
  } catch {
    return false
  }
}

/** `path` appears last: whoever sees it has all of it. */
function fetchNewer(path: string): void {
  const targets = run('apt-get', ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'])
  const mirror = targets.split('\n').find((line) => /\/debian\/?$/.test(line))
  if (mirror === undefined) throw new Error('apt does not say which mirror of Debian this machine uses')
  rmSync(CACHE, { recursive: true, force: true })
  for (const folder of ['lists/partial', 'cache/archives/partial', 'parts'])
    mkdirSync(join(CACHE, folder), { recursive: true })
  writeFileSync(join(CACHE, 'sources.list'), `deb [signed-by=${KEYS}] ${mirror} ${NEWER} main\n`)
  writeFileSync(join(CACHE, 'status'), '')
  const config = [
    ...[`Dir::Etc::sourcelist=${join(CACHE, 'sources.list')}`, `Dir::Etc::sourceparts=${join(CACHE, 'parts')}`],
    ...[`Dir::State=${CACHE}`, `Dir::State::status=${join(CACHE, 'status')}`, `Dir::Cache=${join(CACHE, 'cache')}`],
    // The machine's own pins are about its own release, and apt's user may not come into this folder.
    ...[`Dir::Etc::preferencesparts=${join(CACHE, 'parts')}`, 'APT::Sandbox::User=root'],
  ].flatMap((option) => ['-o', option])
  run('apt-get', [...config, '-qq', 'update'])
  run('apt-get', [...config, '-qq', '-y', '--no-install-recommends', '--download-only', 'install', 'criu'])
  for (const file of globSync(join(CACHE, 'cache/archives/*.deb'))) run('dpkg-deb', ['-x', file, join(CACHE, 'root')])
  const [loader] = globSync(join(CACHE, 'root/usr/lib/*/ld-linux-*.so.*'))
  if (loader === undefined) throw new Error('what was fetched has no loader of programs')
  const libraries = join(loader, '..')
  const command = `exec ${loader} --library-path ${libraries} --argv0 criu ${join(CACHE, 'root/usr/sbin/criu')} "$@"`
  writeFileSync(path, `#!/bin/sh\n${command}\n`, { mode: 0o755 })
}

function run(command: string, args: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', timeout: FETCH_MS_MAX, stdio: ['ignore', 'pipe', 'pipe'] })
}
