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
  await bundleTo(join(folder, 'stead.js'))
  writeTypes(folder)
  const { version, description, license, name } = JSON.parse(readFileSync(join(SOURCE, 'package.json'), 'utf8')) as {
    readonly [key: string]: string
  }
  const described = {
    ...{ name, version, description, license, type: 'module', engines: { node: '>=20' } },
    exports: { '.': { types: './stead.d.ts', default: './stead.js' } },
    files: ['stead.js', 'stead.d.ts', 'endpoint-types.d.ts'],
  }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(described, null, 2)}\n`)
  cpSync(join(SOURCE, 'README.md'), join(folder, 'README.md'))
  cpSync(join(ROOT, 'LICENSE'), join(folder, 'LICENSE'))
  must('pnpm', ['--dir', folder, 'pack', '--pack-destination', folder])
  return join(folder, `stead-client-${version}.tgz`)
}

async function bundleTo(file: string): Promise<void> {
  // Loaded only now: it needs the packages that setup has installed.
  const { rolldown } = await import('rolldown')
  const table = `export function endpointTable() { return ${JSON.stringify(endpointTable())} }\n`
  const bundle = await rolldown({
    input: join(SOURCE, 'src', 'stead.ts'),
    ...{ cwd: ROOT, platform: 'node', logLevel: 'warn', transform: { target: 'node20' } },
    // The contract's schemas stay with the cluster.
    plugins: [{ name: 'table', load: (id) => (id.endsWith('/client/src/endpoint-table.ts') ? table : undefined) }],
  })
  await bundle.write({ file, format: 'esm' })
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
  const told = readFileSync(join(out, 'packages', 'client', 'src', 'stead.d.ts'), 'utf8')
  writeFileSync(join(folder, 'stead.d.ts'), told.replaceAll('./endpoint-types.ts', './endpoint-types.js'))
  writeFileSync(join(folder, 'endpoint-types.d.ts'), endpointTypes())
  rmSync(out, { recursive: true })
  rmSync(join(folder, 'tsconfig.json'))
}

function must(program: string, args: readonly string[]): void {
  if (outputOf(program, args) === undefined) throw new DevFailure(`${program} ${args.join(' ')} failed`)
}
