import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** Writes a file so that a reader, or a crash, meets the old or the new content and never a half. Mode 0600. */
export function writeWhole(file: string, text: string | Uint8Array): void {
  mkdirSync(dirname(file), { recursive: true })
  const half = `${file}.${process.pid}.new`
  writeFileSync(half, text, { mode: 0o600 })
  renameSync(half, file)
}
