/** The ports of storage daemons, in a network namespace with another host and a guest. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

test('hosts of the cluster connect to the gate, older ones to the storage daemons too, and nobody else to either', async () => {
  const rig = join(import.meta.dirname, 'storage-door-rig-fixture.ts')
  const line = ['--net', '--pid', '--fork', '--kill-child', '--mount-proc', process.execPath, rig]
  const { stdout } = await promisify(execFile)('unshare', line, { timeout: 60_000 })
  const [both, neither] = [
    ['in', 'in'],
    ['out', 'out'],
  ]
  const shut = { other: both, guest: neither, guestInClear: neither, guestElsewhere: 'in', here: both }
  assert.deepEqual(JSON.parse(stdout), {
    before: { other: both, otherInClear: both, guest: both, guestInClear: both, guestElsewhere: 'in', here: both },
    after: { ...shut, otherInClear: neither },
    withOld: { ...shut, otherInClear: both },
    goesOn: true,
    isSame: true,
  })
})
