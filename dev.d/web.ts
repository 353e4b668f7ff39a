/** `./dev web`: builds the web interface into packages/web/dist, or serves it while it is developed. */
import { createHash } from 'node:crypto'
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { ROOT } from './run-program.ts'

const FOLDER = join(ROOT, 'packages', 'web')
const DIST = join(FOLDER, 'dist')
const STAMP = join(ROOT, '.cache', 'web.sha256')
const PACKED = /\.(css|html|js|svg)$/

/** Builds what agents serve, unless nothing has changed since. */
export async function buildWebIfChanged(): Promise<void> {
  const inputs = inputsHash()
  if (existsSync(join(DIST, 'index.html')) && existsSync(STAMP) && readFileSync(STAMP, 'utf8') === inputs) return
  await buildWeb()
}

export async function buildWeb(): Promise<void> {
  process.stdout.write('Building the web interface\n')
  // Loaded only now: it needs the packages that setup has installed.
  const { build } = await import('vite')
  await build({ configFile: join(FOLDER, 'vite.config.ts') })
  // Agents send what is packed already to whoever takes it.
  for (const file of globSync('**/*', { cwd: DIST })) {
    if (PACKED.test(file))
      writeFileSync(join(DIST, `${file}.gz`), gzipSync(readFileSync(join(DIST, file)), { level: 9 }))
  }
  mkdirSync(join(ROOT, '.cache'), { recursive: true })
  writeFileSync(STAMP, inputsHash())
}

/** Until it is interrupted: vite's server, before the real API of a simulated cluster. */
export async function serveWeb(): Promise<number> {
  const { createServer } = await import('vite')
  const { addShownGuests, addShownUsers, startSimulatedCluster } =
    await import('@stead/agent/backend/simulated-cluster-fixture.ts')
  const ends: (() => void | Promise<void>)[] = []
  const token = 'development'
  const cluster = await startSimulatedCluster({ after: (run) => void ends.push(run) }, { token })
  await addShownGuests(cluster)
  const { measureSimulatedCluster } = await import('@stead/agent/backend/simulated-metrics-fixture.ts')
  await measureSimulatedCluster({ after: (run) => void ends.push(run) }, cluster)
  const { alice, bob } = await addShownUsers(cluster, 'four words of development')
  const proxy = { '/v1': { target: cluster.url } }
  const server = await createServer({ configFile: join(FOLDER, 'vite.config.ts'), server: { proxy } })
  await server.listen()
  const lines = [
    `The interface: ${server.resolvedUrls?.local[0] ?? ''}`,
    ...[alice, bob].map(({ user, password }) => `  sign in as ${user} with \`${password}\``),
    `  or with the token \`${token}\``,
    `Its simulated cluster: ${cluster.url}`,
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
  await new Promise((resolve) => process.once('SIGINT', resolve))
  await server.close()
  for (const end of ends.toReversed()) await end()
  return 0
}

/** The interface is made of its own files, of the API's contract and of what that takes from core. */
function inputsHash(): string {
  const files = globSync(
    [
      'packages/web/{index.html,vite.config.ts,package.json}',
      'packages/web/public/*',
      'packages/{web,api,core}/src/**/*.{ts,tsx,css}',
      'pnpm-lock.yaml',
    ],
    { cwd: ROOT },
  )
  const hash = createHash('sha256')
  for (const file of files.filter((one) => !one.endsWith('.test.ts')).toSorted())
    hash.update(`${file}\0`).update(readFileSync(join(ROOT, file)))
  return hash.digest('hex')
}
