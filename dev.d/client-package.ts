/** `./dev client`: builds `@stead/client` as it is installed elsewhere, without TypeScript and without dependencies. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { endpointTypes } from '@stead/api/client-types.ts'
import { endpointTable } from '@stead/client/endpoint-table.ts'
import { DevFailure, outputOf, ROOT } from './run-program.ts'

const SOURCE = join(ROOT, 'packages', 'client')

/** The tarball's path. */
export async function buildClientPackage(folder: string): Promise<string> {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(join(folder, 'types'), { recursive: true })
  await bundleTo(join(folder, 'stead.js'), 'node')
  await bundleTo(join(folder, 'stead.browser.js'), 'browser')
  writeTypes(folder)
  const { version, description, license, name } = JSON.parse(readFileSync(join(SOURCE, 'package.json'), 'utf8')) as {
    readonly [key: string]: string
  }
  const described = {
    ...{ name, version, description, license, type: 'module', engines: { node: '>=20' } },
    exports: { '.': { types: './stead.d.ts', browser: './stead.browser.js', default: './stead.js' } },
    files: ['*.js', '*.d.ts'],
  }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(described, null, 2)}\n`)
  cpSync(join(SOURCE, 'README.md'), join(folder, 'README.md'))
  cpSync(join(ROOT, 'LICENSE'), join(folder, 'LICENSE'))
  must('pnpm', ['--dir', folder, 'pack', '--pack-destination', folder])
  return join(folder, `stead-client-${version}.tgz`)
}

/** What stands in place of a source: the contract's schemas stay with the cluster, and a page has no sockets of its own. */
function replacedSource(id: string, platform: 'node' | 'browser'): string | undefined {
  const table = JSON.stringify(endpointTable())
  if (id.endsWith('/client/src/endpoint-table.ts')) return `export function endpointTable() { return ${table} }\n`
  if (id.endsWith('/api/src/endpoints/consoles.ts')) return `export const CONSOLE_ENDPOINTS = ${table}\n`
  if (id.endsWith('/client/src/way.ts') && platform === 'browser')
    return readFileSync(join(SOURCE, 'src', 'browser-way.ts'), 'utf8')
  return undefined
}

async function bundleTo(file: string, platform: 'node' | 'browser'): Promise<void> {
  // Loaded only now: it needs the packages that setup has installed.
  const { rolldown } = await import('rolldown')
  const bundle = await rolldown({
    input: join(SOURCE, 'src', 'stead.ts'),
    ...{ cwd: ROOT, platform, logLevel: 'warn', transform: { target: platform === 'node' ? 'node20' : 'es2023' } },
    plugins: [{ name: 'replaced', load: (id) => replacedSource(id, platform) }],
  })
  await bundle.write({ file, format: 'esm', codeSplitting: false })
  await bundle.close()
}

/** Of `stead.ts` as the compiler tells them; beside them what it names of the contract. */
function writeTypes(folder: string): void {
  const out = join(folder, 'types')
  const project = {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: {
      ...{ noEmit: false, declaration: true, emitDeclarationOnly: true },
      outDir: out,
      rootDir: ROOT,
      typeRoots: [join(ROOT, 'node_modules', '@types')],
    },
    include: [],
    files: [join(SOURCE, 'src', 'stead.ts')],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(project))
  must('tsc', ['--project', join(folder, 'tsconfig.json')])
  for (const name of ['stead', 'stead-error', 'guest-streams']) {
    const told = readFileSync(join(out, 'packages', 'client', 'src', `${name}.d.ts`), 'utf8')
    writeFileSync(join(folder, `${name}.d.ts`), told.replaceAll(/(?<=from '\.\/[a-z-]+\.)ts(?=')/g, 'js'))
  }
  writeFileSync(join(folder, 'endpoint-types.d.ts'), endpointTypes())
  rmSync(out, { recursive: true })
  rmSync(join(folder, 'tsconfig.json'))
}

function must(program: string, args: readonly string[]): void {
  if (outputOf(program, args) === undefined) throw new DevFailure(`${program} ${args.join(' ')} failed`)
}
