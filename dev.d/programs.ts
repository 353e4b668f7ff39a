/**
 * The programs of Stead as files of their own: the command line and the agent, each with all that it needs. Started from
 * hundreds of sources, as they are written, most of a short command would be finding, reading and joining these.
 */
import { mkdirSync, utimesSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { outputOf, ROOT } from './run-program.ts'

interface Program {
  readonly name: string
  readonly source: string
}

const PROGRAMS: readonly Program[] = [
  { name: 'stead', source: 'bin/stead.ts' },
  { name: 'agent', source: 'packages/agent/src/main.ts' },
]

/** What `bin/stead` and `bin/stead-agent` run where no source is newer (`bin/programs.sh`). */
export async function buildProgramsIfChanged(): Promise<boolean> {
  const stale = PROGRAMS.filter((program) => !isCurrent(program))
  if (stale.length === 0) return false
  process.stdout.write('Building the command line and the agent\n')
  for (const program of stale) await build(program)
  return true
}

function isCurrent(program: Program): boolean {
  const told = outputOf('bash', ['-c', '. "$1"; built "$2"', 'built', join(ROOT, 'bin', 'programs.sh'), program.name])
  return told?.trim() === fileOf(program)
}

function fileOf({ name }: Program): string {
  return join(ROOT, '.cache', 'programs', name, `${name}.cjs`)
}

async function build(program: Program): Promise<void> {
  // Loaded only now: it needs the packages that setup has installed.
  const { rolldown } = await import('rolldown')
  const begun = new Date()
  const folder = dirname(fileOf(program))
  const bundle = await rolldown({
    input: { [program.name]: join(ROOT, program.source) },
    ...{ cwd: ROOT, platform: 'node', logLevel: 'warn', checks: { ineffectiveDynamicImport: false } },
    plugins: [{ name: 'places', transform: (code, file) => withPlaces(code, relative(folder, file)) }],
  })
  mkdirSync(folder, { recursive: true })
  await bundle.write({
    dir: folder,
    // An ES module that imports `node:http` makes Node load its whole `fetch`, only to list what it exports.
    format: 'cjs',
    entryFileNames: '[name].cjs',
    // By its digest: what a running command may still want to load stays.
    chunkFileNames: '[name]-[hash].cjs',
  })
  await bundle.close()
  // A source that was written meanwhile is newer than this.
  utimesSync(fileOf(program), begun, begun)
}

/** A module finds files beside its source, wherever it was put itself. */
function withPlaces(code: string, source: string): string | undefined {
  if (!code.includes('import.meta.')) return undefined
  return code
    .replaceAll('import.meta.dirname', `import.meta.dirname + ${JSON.stringify(`/${dirname(source)}`)}`)
    .replaceAll('import.meta.url', `new URL(${JSON.stringify(source)}, import.meta.url).href`)
}
