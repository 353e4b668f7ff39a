/** One process of Node's test runner: the files it runs, its report, and what came of it. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DevFailure, ROOT } from './run-program.ts'

export interface TestTotals {
  readonly passed: number
  readonly failed: number
}

export interface TestJob {
  readonly name: string
  readonly files: readonly string[]
  /** For the test runner. */
  readonly flags: readonly string[]
  /** Only tests that are called so, in part; a job that has none of them is not reported. */
  readonly testName?: string
  /** Nothing else runs meanwhile: it measures what others would disturb. */
  readonly alone: boolean
}

export interface TestReport extends TestTotals {
  readonly name: string
  readonly seconds: number
  /** What the runner and the tests printed; empty when it went to the terminal at once. */
  readonly text: string
}

/** The report comes whole at the end, or as it is made to this process's own output. */
export async function runTestJob(job: TestJob, output: 'at the end' | 'at once'): Promise<TestReport> {
  const folder = mkdtempSync(join(tmpdir(), 'stead-test-'))
  const note = join(folder, 'totals.json')
  const began = performance.now()
  try {
    const { code, text } = await runNode(
      [
        ...['--test', ...job.flags],
        ...(job.testName === undefined ? [] : [`--test-name-pattern=${job.testName}`]),
        ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
        ...[`--test-reporter=${join(ROOT, 'dev.d', 'totals-reporter.ts')}`, `--test-reporter-destination=${note}`],
        ...job.files,
      ],
      output,
    )
    const totals = readTotals(note)
    const seconds = (performance.now() - began) / 1000
    // A run that ended badly without a failed test (a crash, an early exit) has failed all the same.
    const failed = code !== 0 && totals.failed === 0 ? 1 : totals.failed
    return { name: job.name, seconds, text, passed: totals.passed, failed }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The part of a report that says what failed and why; all of it where the runner did not get so far. */
export function failuresIn(text: string): string {
  const at = text.lastIndexOf('✖ failing tests:\n')
  return at < 0 ? text : text.slice(at)
}

function runNode(
  args: readonly string[],
  output: 'at the end' | 'at once',
): Promise<{ readonly code: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const kept = output === 'at the end' ? 'pipe' : 'inherit'
    // Without what tells a runner that it is a test of another runner: the tests of this file begin it in a test.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', kept, kept], env })
    const parts: Buffer[] = []
    child.stdout?.on('data', (part: Buffer) => parts.push(part))
    child.stderr?.on('data', (part: Buffer) => parts.push(part))
    child.on('error', (cause) => reject(new DevFailure(`cannot run ${process.execPath}`, { cause })))
    child.on('close', (code) => resolve({ code: code ?? 1, text: Buffer.concat(parts).toString() }))
  })
}

function readTotals(file: string): TestTotals {
  const text = readFileSync(file, { encoding: 'utf8', flag: 'a+' })
  return text === '' ? { passed: 0, failed: 1 } : (JSON.parse(text) as TestTotals)
}
