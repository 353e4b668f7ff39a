/** A file that is a secret, as a whole. Whoever reads it knows by its form whether it is sealed. */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { ok, type Result } from '@stead/core/result.ts'
import { generationOf, type KeyRing } from './key-ring.ts'

export interface SecretFile {
  readonly path: string
  readonly place: string
}

/** By the present key, whatever sealed it before. A crash leaves the one or the other. */
export function sealFile({ path, place }: SecretFile, ring: KeyRing): Result<void> {
  if (!existsSync(path)) return ok()
  const kept = readFileSync(path, 'utf8')
  const generation = generationOf(kept)
  if (generation === ring.generation) return ok()
  const opened = generation === undefined ? ok(kept) : ring.open(kept, place)
  if (!opened.ok) return opened
  const half = openSync(`${path}.new`, 'w', 0o600)
  writeSync(half, ring.seal(opened.value, place))
  fsyncSync(half)
  closeSync(half)
  renameSync(`${path}.new`, path)
  return ok()
}
