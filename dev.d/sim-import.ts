/** `./dev sim import`: what another product has becomes a cluster file for the simulator. */
import { writeFile } from 'node:fs/promises'
import { importFiles } from '@stead/cli/import/import-files.ts'
import { clusterFileText, leftOutText } from '@stead/cli/import/import-report.ts'
import { hintOf } from '@stead/core/errors.ts'
import { DevFailure } from './run-program.ts'

/** The file to stdout or `--out`, what was left out to stderr. */
export async function runSimImport(
  words: readonly string[],
  options: { readonly sizes?: string | undefined; readonly out?: string | undefined },
): Promise<number> {
  if (words.length === 0) throw new DevFailure('sim import FILE... [--sizes FILE] [--out FILE]')
  const imported = await importFiles(words, options.sizes)
  if (!imported.ok) throw new DevFailure(`${imported.error.message}\nhint: ${hintOf(imported.error)}`)
  const { file, leftOut } = imported.value
  if (options.out === undefined) process.stdout.write(clusterFileText(file))
  else await writeFile(options.out, clusterFileText(file))
  process.stderr.write(`${leftOutText(file, leftOut)}\n`)
  return 0
}
