/** A small JSON file that a later agent must find whole: what was started, and where. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** Atomic against a crash of the agent: a reader sees the old or the new record. A crash of the host ends the run anyway. */
export function writeRecordFile(path: string, record: unknown): Result<void> {
  const temporary = `${path}.new`
  try {
    writeFileSync(temporary, JSON.stringify(record, null, 2), { mode: 0o600 })
    renameSync(temporary, path)
    return ok()
  } catch (cause) {
    return fail(failure('internal', `Cannot write ${path}`, { cause, hint: 'Is the disk of the state folder full?' }))
  }
}

/** Undefined when there is none; a failure when it cannot be read as such a record. */
export function readRecordFile<T>(path: string, isWhole: (record: T) => boolean): Result<T | undefined> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return ok(undefined)
    return fail(failure('internal', `Cannot read ${path}`, { cause }))
  }
  try {
    const record = JSON.parse(text) as T
    return isWhole(record) ? ok(record) : fail(failure('internal', `${path} is not a record of this version`))
  } catch (cause) {
    return fail(failure('internal', `${path} is damaged`, { cause }))
  }
}
