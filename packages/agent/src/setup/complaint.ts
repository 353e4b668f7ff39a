/** What a command of the host itself says when it fails, and how it ends: it has no session of the command line's. */
import { FAILURES, hintOf, type Failure } from '@stead/core/errors.ts'

export function complain(error: Failure, { json = false }: { readonly json?: boolean } = {}): void {
  const { code, message } = error
  const hint = hintOf(error)
  process.stderr.write(json ? `${JSON.stringify({ code, message, hint })}\n` : `${message}\n${hint}\n`)
  process.exitCode = FAILURES[code].exit
}
