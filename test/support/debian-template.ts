/** The archive of a small Debian with systemd, as `stead template build debian-12` makes it: once, in the repository's cache. */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { buildDebianRoot } from '@stead/cli/template-build/debian-root.ts'

const CACHE = join(import.meta.dirname, '..', '..', '.cache')
const ARCHIVE = join(CACHE, 'debian-12.tar.zst')
const BUILD_MS_MAX = 150_000

export type DebianArchive = { readonly path: string } | { readonly missing: string }

export async function debianArchive(): Promise<DebianArchive> {
  if (existsSync(ARCHIVE)) return { path: ARCHIVE }
  mkdirSync(CACHE, { recursive: true })
  const work = mkdtempSync(join(CACHE, 'debian-'))
  try {
    renameSync(await buildDebianRoot('bookworm', work, AbortSignal.timeout(BUILD_MS_MAX)), ARCHIVE)
    return { path: ARCHIVE }
  } catch (error) {
    return { missing: error instanceof Error ? error.message.split('\n')[0]! : String(error) }
  } finally {
    rmSync(work, { recursive: true })
  }
}
