/** `./dev test`: all pure tests in one process, and each system test file in one of its own; two run beside each other. */
import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { ROOT } from './run-program.ts'
import type { TestJob } from './test-job.ts'
import { runTestJobs } from './test-lanes.ts'

export type TestKind = 'unit' | 'system'

/**
 * A lab uses 14 to 75 % of two processors, most of them 40; the rest it waits. Not more than two: with fifteen processes waiting
 * for a processor a host loses its replicas and is suspected, which tests are not about.
 */
export const LANES = Math.min(2, availableParallelism())

/** Begun first, the longest before all others: if the last one to begin were long, nothing would run beside it. */
export const LONG = [
  ...['test/images', 'test/migration-post-copy', 'test/containers', 'test/memory-snapshots', 'test/replica-loss'],
  ...['test/topologies', 'test/platform', 'test/bad-input', 'test/lifecycle', 'test/migration', 'test/volume-resize'],
  ...['test/random-faults', 'test/process-faults', 'test/container-devices', 'test/projects', 'test/first-cluster'],
].map((path) => `${path}.system.test.ts`)

/** What they measure is wrong when others take the processor at that moment. */
export const ALONE = [
  // A process that is to die within so many milliseconds, and not before.
  'packages/agent/src/guardian/deadman.system.test.ts',
]

/**
 * The filter is a part of a file's path, or of a test's name. Ends with `N passed, N failed` on a line of its own; the
 * value is the exit code.
 */
export async function runTests(kind: 'all' | TestKind, filter: string | undefined, lanes: number): Promise<number> {
  const { passed, failed } = await runTestJobs(chooseJobs(kind, filter), lanes, process.stdout)
  process.stdout.write(`${passed} passed, ${failed} failed\n`)
  return failed === 0 && passed > 0 ? 0 : 1
}

/** In the order in which they are to begin. */
export function chooseJobs(kind: 'all' | TestKind, filter: string | undefined): readonly TestJob[] {
  const kinds = (['unit', 'system'] as const).filter((each) => kind === 'all' || kind === each)
  const all = kinds.map((each) => ({ kind: each, files: testFiles(each) }))
  const ofPath = all.map(({ kind: each, files }) => ({
    kind: each,
    files: files.filter((file) => filter === undefined || file.includes(filter)),
  }))
  // A filter that is part of no file's path is looked for in the tests' names.
  const byName = filter !== undefined && ofPath.every(({ files }) => files.length === 0)
  const named = byName ? { testName: filter } : {}
  return (byName ? all : ofPath).flatMap(({ kind: each, files }): readonly TestJob[] => {
    if (files.length === 0) return []
    if (each === 'unit') return [{ name: 'unit', files, flags: ['--test-isolation=none'], alone: false, ...named }]
    return files.map((file) => ({ name: file, files: [file], flags: [], alone: ALONE.includes(file), ...named }))
  })
}

/** Paths below the repository's top folder. */
export function testFiles(kind: TestKind): readonly string[] {
  const patterns = ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts', 'dev.d/*.test.ts']
  const rank = (file: string) => (LONG.includes(file) ? LONG.indexOf(file) : LONG.length)
  return globSync(patterns, { cwd: ROOT })
    .filter((file) => file.endsWith('.system.test.ts') === (kind === 'system'))
    .toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
}
