/** The ports of storage daemons, in a network namespace with another host and a guest. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

test('hosts of the cluster connect to the storage daemons, and whoever else is on their networks does not', async () => {
  const rig = join(import.meta.dirname, 'storage-door-rig-fixture.ts')
  const line = ['--net', '--pid', '--fork', '--kill-child', '--mount-proc', process.execPath, rig]
  const { stdout } = await promisify(execFile)('unshare', line, { timeout: 60_000 })
  const both = ['in', 'in']
  assert.deepEqual(JSON.parse(stdout), {
    before: { other: both, guest: both, guestElsewhere: 'in', here: both },
    after: { other: both, guest: ['out', 'out'], guestElsewhere: 'in', here: both },
    isSame: true,
  })
})
