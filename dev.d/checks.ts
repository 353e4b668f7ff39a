/** `./dev check` and `./dev fix`. */
import { runProgram } from './run-program.ts'

export async function runChecks(): Promise<number> {
  // All of them run even when the first complains: one call shows everything that is wrong.
  const codes = [
    await runProgram('tsc', ['-p', 'tsconfig.json']),
    await runProgram('tsc', ['-p', 'packages/web/tsconfig.json']),
    await runProgram('oxlint', ['--type-aware', '--deny-warnings']),
    await runProgram('oxfmt', ['--check']),
  ]
  return codes.every((code) => code === 0) ? 0 : 1
}

export async function runFixes(): Promise<number> {
  const format = await runProgram('oxfmt', [])
  const lint = await runProgram('oxlint', ['--type-aware', '--fix'])
  return format === 0 && lint === 0 ? 0 : 1
}
