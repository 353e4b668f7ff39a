import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ok } from '@stead/core/result.ts'
import { processOf } from './image-process.ts'

let root = ''
before(() => {
  root = mkdtempSync(join(tmpdir(), 'stead-process-'))
  mkdirSync(join(root, 'etc'))
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\napp:x:1000:100::/srv/app:/bin/sh\n')
  writeFileSync(join(root, 'etc/group'), 'users:x:100:\nstaff:x:50:\n')
})
after(() => rmSync(root, { recursive: true }))

const started = async (user?: string, environment: readonly string[] = ['HOME=/']) => {
  const found = await processOf(root, { environment, ...(user === undefined ? {} : { user }) })
  return found.ok ? found.value : found.error
}

test('users and groups become numbers, by the root itself', async () => {
  const environment = ['HOME=/']
  assert.deepEqual(await started('app'), { environment, uid: 1000, gid: 100 })
  assert.deepEqual(await started('app:staff'), { environment, uid: 1000, gid: 50 })
  assert.deepEqual(await started('1000'), { environment, uid: 1000, gid: 100 })
  assert.deepEqual(await started('4711'), { environment, uid: 4711, gid: 0 })
  assert.deepEqual(await started('4711:4712'), { environment, uid: 4711, gid: 4712 })
  for (const user of [undefined, '', 'root', '0:0']) assert.deepEqual(await started(user), { environment })
})

test('an image without accounts begins as root, or as a number', async () => {
  const found = async (user: string) => processOf(join(root, 'etc'), { environment: [], user })
  for (const user of ['', '0']) assert.deepEqual(await found(user), ok({ environment: [] }))
  assert.deepEqual(await found('7:8'), ok({ environment: [], uid: 7, gid: 8 }))
})

test('a user that nobody knows refuses the image instead of starting it as another one', async () => {
  for (const user of ['ghost', 'app:ghosts', '-1', '70000', '1000:99999']) {
    const refused = await started(user)
    assert.ok('code' in refused, user)
    assert.equal(refused.code, 'invalid_image')
  }
})

test('its home is the account’s where the image says none, and what is no variable is left out', async () => {
  const { environment } = (await started('app', ['A=b c', 'B=', '=x', 'C\n=y', 'D=1\nlxc.idmap =', 'PATH'])) as {
    environment: readonly string[]
  }
  assert.deepEqual(environment, ['A=b c', 'B=', 'HOME=/srv/app'])
})
