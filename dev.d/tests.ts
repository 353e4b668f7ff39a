/** `./dev test`: pure tests in one process, then system tests one file at a time. */
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT, runProgram } from './run-program.ts'

export interface TestTotals {
  readonly passed: number
  readonly failed: number
}

const UNIT = { name: 'unit', flags: ['--test-isolation=none'] }
/** Daemons, namespaces and guests: one file at a time, each in a process of its own. */
const SYSTEM = { name: 'system', flags: ['--test-concurrency=1'] }

/** Ends with `N passed, N failed` on a line of its own; the value is the exit code. */
export async function runTests(kind: 'all' | 'unit' | 'system', filter: string | undefined): Promise<number> {
  const runs = [UNIT, SYSTEM].filter((run) => kind === 'all' || kind === run.name)
  const chosen = runs
    .map((run) => ({ ...run, all: testFiles(run.name) }))
    .map((run) => ({
      ...run,
      files: run.all.filter((file) => filter === undefined || file.includes(filter)),
    }))
  // A filter that is part of no file's path is looked for in the tests' names.
  const byName = filter !== undefined && chosen.every((run) => run.files.length === 0)
  let passed = 0
  let failed = 0
  for (const run of chosen) {
    const files = byName ? run.all : run.files
    if (files.length === 0) continue
    const totals = await runFiles(files, [...run.flags, ...(byName ? [`--test-name-pattern=${filter}`] : [])])
    passed += totals.passed
    failed += totals.failed
  }
  process.stdout.write(`${passed} passed, ${failed} failed\n`)
  return failed === 0 && passed > 0 ? 0 : 1
}

function testFiles(kind: string): string[] {
  const files = globSync(['packages/*/src/**/*.test.ts', 'test/**/*.test.ts', 'dev.d/*.test.ts'], {
    cwd: ROOT,
  }).toSorted()
  return files.filter((file) => file.endsWith('.system.test.ts') === (kind === 'system'))
}

async function runFiles(files: readonly string[], flags: readonly string[]): Promise<TestTotals> {
  const folder = mkdtempSync(join(tmpdir(), 'stead-test-'))
  const note = join(folder, 'totals.json')
  try {
    const code = await runProgram(process.execPath, [
      ...['--test', ...flags],
      ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
      ...[`--test-reporter=${join(ROOT, 'dev.d', 'totals-reporter.ts')}`, `--test-reporter-destination=${note}`],
      ...files,
    ])
    const totals = readTotals(note)
    // A run that ended badly without a failed test (a crash, an early exit) has failed all the same.
    return code !== 0 && totals.failed === 0 ? { ...totals, failed: 1 } : totals
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function readTotals(file: string): TestTotals {
  const text = readFileSync(file, { encoding: 'utf8', flag: 'a+' })
  return text === '' ? { passed: 0, failed: 1 } : (JSON.parse(text) as TestTotals)
}
