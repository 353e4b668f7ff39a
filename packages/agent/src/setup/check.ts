/** One thing that is looked at before a host is set up. */
import type { SetupCheck } from '@stead/api/endpoints/set-up.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** Makes the findings of one check. */
export function checkOf(id: string, name: string) {
  return {
    ok: (text: string): SetupCheck => ({ id, name, state: 'ok', text, hint: null, final: false }),
    warning: (text: string, hint: string): SetupCheck => ({ id, name, state: 'warning', text, hint, final: false }),
    failed: (text: string, hint: string): SetupCheck => ({ id, name, state: 'failed', text, hint, final: false }),
    /** What follows could not work. */
    refused: (text: string, hint: string): SetupCheck => ({ id, name, state: 'failed', text, hint, final: true }),
  }
}

/** Nothing may be changed while a check fails that nobody has accepted. */
export function refusalOf(checks: readonly SetupCheck[], despite: readonly string[]): Result<void> {
  const failed = checks.filter(({ id, state, final }) => state === 'failed' && (final || !despite.includes(id)))
  if (failed.length === 0) return ok()
  const texts = failed.map(({ name, text }) => `${name}: ${text}`)
  const hints = [...new Set(failed.flatMap(({ hint }) => (hint === null ? [] : [hint])))]
  const accepted = failed.filter(({ final }) => !final).map(({ id }) => `--despite ${id}`)
  if (accepted.length > 0) hints.push(`or accept it: ${accepted.join(' ')}`)
  return fail(failure('conflict', `Nothing was changed, since ${texts.join('; ')}`, { hint: hints.join('; ') }))
}

export const GIB = 1024 ** 3

export function gib(bytes: number): string {
  return `${(bytes / GIB).toFixed(1)} GiB`
}
