/** `./dev setup`: Debian packages, Node packages, the C helpers and the lab's guest; quick when all is there. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { installDebianPackages, missingDebianPackages } from './debian-packages.ts'
import { buildProgramsIfChanged } from './programs.ts'
import { buildWebIfChanged } from './web.ts'
import { DevFailure, ROOT, mustRun, outputOf } from './run-program.ts'

const STAMP = join(ROOT, '.cache', 'setup.sha256')

export async function setup(): Promise<void> {
  await installAndBuild()
  await buildWebIfChanged()
  if (await buildProgramsIfChanged()) warmCompileCache()
}

async function installAndBuild(): Promise<void> {
  const missing = missingDebianPackages()
  const inputs = inputsHash()
  if (missing.length === 0 && existsSync(STAMP) && readFileSync(STAMP, 'utf8') === inputs && resultsExist()) return
  if (missing.length > 0) await installDebianPackages(missing)
  process.stdout.write('Installing the Node packages of the lock file\n')
  await mustRun('pnpm', ['install', '--frozen-lockfile', '--prefer-offline', '--reporter=append-only'])
  process.stdout.write('Building the C helpers\n')
  await mustRun('sh', ['native/build.sh'])
  process.stdout.write("Building the lab's guest\n")
  // Loaded only now: it needs the packages that have just been installed.
  const { buildGuestImage } = await import('@stead/lab/guest-image.ts')
  const image = await buildGuestImage(ROOT)
  if (!image.ok)
    throw new DevFailure(`${image.error.message}${image.error.hint === undefined ? '' : `\nhint: ${image.error.hint}`}`)
  mkdirSync(join(ROOT, '.cache'), { recursive: true })
  writeFileSync(STAMP, inputs)
}

/**
 * What Node has compiled of the lab's daemons. A daemon that finds it never loads the compiler that strips types, which
 * would stay in its memory: 10 MB of the guardian, 20 of an agent that runs from its sources. Without arguments each ends at once.
 */
function warmCompileCache(): void {
  const cache = `NODE_COMPILE_CACHE=${join(ROOT, '.cache', 'node')}`
  outputOf('env', [cache, process.execPath, join(ROOT, 'packages', 'agent', 'src', 'guardian', 'guardian-main.ts')])
  outputOf('env', [cache, join(ROOT, 'bin', 'stead-agent')])
}

/** Everything that decides what `setup` would produce. */
function inputsHash(): string {
  const packages = readdirSync(join(ROOT, 'packages')).map((name) => join('packages', name, 'package.json'))
  const native = readdirSync(join(ROOT, 'native')).map((name) => join('native', name))
  const guest = ['guest-image.ts', 'cpio-archive.ts'].map((name) => join('packages', 'lab', 'src', name))
  const hash = createHash('sha256')
  for (const file of [
    'package.json',
    'pnpm-lock.yaml',
    'pnpm-workspace.yaml',
    ...packages,
    ...native,
    ...guest,
  ].toSorted()) {
    if (!existsSync(join(ROOT, file))) continue
    hash.update(`${file}\0`).update(readFileSync(join(ROOT, file)))
  }
  return hash.digest('hex')
}

function resultsExist(): boolean {
  const native = readdirSync(join(ROOT, 'native')).filter((name) => name.endsWith('.c'))
  const files = [
    'node_modules/.modules.yaml',
    ...native.map((name) => `.native/bin/${name.slice(0, -2)}`),
    ...['.cache/guest/kernel/vmlinuz', '.cache/guest/initrd.img'],
  ]
  return files.every((file) => existsSync(join(ROOT, file)))
}
