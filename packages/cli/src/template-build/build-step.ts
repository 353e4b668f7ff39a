/** A program that takes part in making a root file system here; its words are the reason when it fails. */
import { execFile } from 'node:child_process'
import { failure, FailureError } from '@stead/core/errors.ts'

const STEP_MS_MAX = 15 * 60_000
const OUTPUT_BYTES_MAX = 16 * 2 ** 20

/** What it printed. `needs`: the Debian package that it comes with. */
export function buildStep(
  file: string,
  args: readonly string[],
  options: { readonly needs: string; readonly signal: AbortSignal; readonly input?: string },
): Promise<string> {
  const { needs, signal, input = '' } = options
  return new Promise((resolve, reject) => {
    const limits = { timeout: STEP_MS_MAX, maxBuffer: OUTPUT_BYTES_MAX, signal }
    const child = execFile(file, args, limits, (error, stdout, stderr) => {
      if (!error) return resolve(stdout)
      const absent = (error as NodeJS.ErrnoException).code === 'ENOENT'
      const last = stderr.trim().split('\n').slice(-3).join('; ') || error.message
      reject(
        new FailureError(
          absent
            ? failure('not_found', `${file} is not installed here`, { hint: `Install it: apt-get install ${needs}` })
            : failure('internal', `${file} failed: ${last}`, {
                hint: 'See above; it ran on this machine.',
                cause: stderr,
              }),
        ),
      )
    })
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
  })
}
