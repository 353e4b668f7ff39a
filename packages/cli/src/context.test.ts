import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { readContext } from './context.ts'

async function folderOf(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'stead-context-'))
  context.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

test('where no cluster was chosen, a host means its own', async (context) => {
  const folder = await folderOf(context)
  const socket = join(folder, 'agent.sock')
  const before = await readContext({ XDG_CONFIG_HOME: folder }, socket)
  assert.match(before.ok ? '' : before.error.message, /No cluster is chosen/)
  await writeFile(socket, '')
  const found = await readContext({ XDG_CONFIG_HOME: folder }, socket)
  assert.deepEqual(found.ok && found.value.endpoints, [{ unix: socket }])
})

test('a cluster that was named and is not there is not replaced by another one', async (context) => {
  const folder = await folderOf(context)
  const socket = join(folder, 'agent.sock')
  await writeFile(socket, '')
  const found = await readContext({ STEAD_CONTEXT: join(folder, 'absent.json') }, socket)
  assert.equal(found.ok, false)
})
