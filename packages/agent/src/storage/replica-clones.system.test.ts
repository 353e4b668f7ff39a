/** The contract of snapshots on btrfs, where they are clones, in a mount namespace of the test's own. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { replicaSnapshotsContract } from '@stead/sim/contract/replica-snapshots-contract.ts'
import { makeQsdFixture } from './qsd-fixture.ts'

const SIZE = '1G'
const TIMEOUT_MS = 120_000

if (process.env['STEAD_TEST_ON_BTRFS'] !== undefined) replicaSnapshotsContract('on btrfs', () => makeQsdFixture())
else {
  test('on a file system that shares blocks, snapshots are clones, and all else is the same', (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'stead-btrfs-'))
    context.after(() => rmSync(folder, { recursive: true }))
    mkdirSync(join(folder, 'mnt'))
    const script = `truncate -s ${SIZE} "$1/image" && mkfs.btrfs -q "$1/image" >&2 && mount -o loop "$1/image" "$1/mnt" &&
      STEAD_TEST_ON_BTRFS=1 TMPDIR="$1/mnt" exec "$2" --test "$3" >&2`
    const args = ['sh', folder, process.execPath, import.meta.filename]
    execFileSync('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script, ...args], {
      encoding: 'utf8',
      stdio: 'pipe',
      timeout: TIMEOUT_MS,
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    })
  })
}
