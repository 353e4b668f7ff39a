/**
 * The pre-shared key of one migration, as QEMU wants it: a folder with `keys.psk`. It stands in the guest's folder, not
 * in the part of it that QEMU may write to, and only for as long as it is needed.
 */
import { chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { GuestFolder } from './launch-record.ts'
import type { Monitor } from './mirror-surgery.ts'

const OBJECT = 'migration-key'
/** QEMU's client takes this name when none is given; both ends must use the same. */
const USERNAME = 'qemu'

/**
 * With a pre-shared key GnuTLS prefers ChaCha20 and computes it without the processor's help: 98 MB took 0.75 s of a
 * processor at each end, and 0.12 and 0.44 s with AES-128-GCM.
 */
const CIPHERS = 'NORMAL:-CIPHER-ALL:+AES-128-GCM:+CHACHA20-POLY1305:+ECDHE-PSK:+PSK'

/** The group ffdhe2048 of RFC 7919. Without it each QEMU that waits makes one of its own: 80 to 1,500 ms. */
const DH_GROUP = `-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
`

export interface KeyOptions {
  readonly folder: GuestFolder
  /** Whom QEMU runs as. */
  readonly user?: { readonly uid: number; readonly gid: number }
}

/** From here on QEMU's migrations are encrypted with the key, and only who has it can connect. */
export async function useKey(
  monitor: Monitor,
  { folder, user }: KeyOptions,
  endpoint: 'server' | 'client',
  secret: string,
): Promise<Result<void>> {
  // One of an earlier migration; none is fine.
  await monitor.execute('object-del', { id: OBJECT })
  const written = writeKey({ folder, ...(user ? { user } : {}) }, secret)
  if (!written.ok) return written
  const added = await monitor.execute('object-add', {
    'qom-type': 'tls-creds-psk',
    id: OBJECT,
    dir: folder.migrationFolder,
    endpoint,
    priority: CIPHERS,
  })
  // A client reads the key when the object is made, a server at each handshake.
  if (endpoint === 'client' || !added.ok) removeKey(folder)
  if (!added.ok) return added
  const set = await monitor.execute('migrate-set-parameters', { 'tls-creds': OBJECT })
  return set.ok ? ok() : set
}

export function removeKey(folder: GuestFolder): void {
  rmSync(folder.migrationFolder, { recursive: true, force: true })
}

function writeKey({ folder, user }: KeyOptions, secret: string): Result<void> {
  if (!/^[0-9a-f]{64}$/.test(secret)) return fail(failure('bad_request', 'A migration’s key has 64 hexadecimal digits'))
  const file = join(folder.migrationFolder, 'keys.psk')
  const group = join(folder.migrationFolder, 'dh-params.pem')
  try {
    removeKey(folder)
    mkdirSync(folder.migrationFolder, { mode: 0o700 })
    writeFileSync(file, `${USERNAME}:${secret}\n`, { mode: 0o600 })
    writeFileSync(group, DH_GROUP, { mode: 0o600 })
    if (user) for (const path of [file, group, folder.migrationFolder]) chownSync(path, user.uid, user.gid)
    return ok()
  } catch (cause) {
    return fail(failure('internal', `Cannot write ${file}`, { cause, hint: 'Is the disk of the state folder full?' }))
  }
}
