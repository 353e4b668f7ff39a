/** The configuration that a saved container carries in itself, read here, before anything is sent. */
import { execFile } from 'node:child_process'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

export type SavedBy = 'stead' | 'proxmox' | 'openvz'

export interface ArchiveConfig {
  readonly by: SavedBy
  readonly text: string
}

/** As tar names them, in the order in which archives have them: a dump of Stead begins with its own. */
const PLACES: readonly (readonly [SavedBy, string])[] = [
  ['stead', 'stead/guest.json'],
  ['proxmox', './etc/vzdump/pct.conf'],
  ['proxmox', 'etc/vzdump/pct.conf'],
  ['openvz', './etc/vzdump/vps.conf'],
  ['openvz', 'etc/vzdump/vps.conf'],
]
const CONFIG_BYTES_MAX = 2 ** 20
/** A large archive that holds none is read to its end. */
const TIMEOUT_MS = 30 * 60_000

/** Undefined: the archive has none. Nothing is written, and what the archive holds beside it is not looked at. */
export async function configInArchive(file: string, signal: AbortSignal): Promise<Result<ArchiveConfig | undefined>> {
  const names = await members(file, signal)
  if (!names.ok) return names
  const [by, name] = PLACES.find(([, place]) => names.value === place) ?? []
  if (by === undefined || name === undefined) return ok(undefined)
  const text = await tar(['-xOf', file, '--occurrence=1', '--', name], signal, CONFIG_BYTES_MAX)
  return text.ok ? ok({ by, text: text.value }) : text
}

/** The first of the places that the archive has. */
async function members(file: string, signal: AbortSignal): Promise<Result<string | undefined>> {
  const listed = await tar(
    ['-tf', file, '--occurrence=1', '--', ...PLACES.map(([, place]) => place)],
    signal,
    CONFIG_BYTES_MAX,
    // tar complains of each name that the archive does not have.
    true,
  )
  return listed.ok ? ok(listed.value.split('\n').find((line) => line !== '')) : listed
}

function tar(
  args: readonly string[],
  signal: AbortSignal,
  maxBuffer: number,
  mayLack = false,
): Promise<Result<string>> {
  return new Promise((resolve) => {
    const limits = { timeout: TIMEOUT_MS, maxBuffer, signal, env: { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8' } }
    execFile('tar', [...args], limits, (error, stdout, stderr) => {
      if (!error || (mayLack && error.code === 2 && /Not found in archive/.test(stderr))) return resolve(ok(stdout))
      const why = stderr.trim().split('\n')[0] || error.message
      resolve(
        fail(
          failure('invalid_image', `The archive cannot be read: ${why}`, {
            hint: 'A tar is expected, plain or packed with gzip, xz or zstd.',
            cause: error,
          }),
        ),
      )
    })
  })
}
