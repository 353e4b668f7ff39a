import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { failure } from '@stead/core/errors.ts'
import { fail, ok } from '@stead/core/result.ts'
import { must } from '@stead/sim/contract/guest-host-contract.ts'
import type { DiskRecord, OpenLeg } from './block-graph.ts'
import { LegKeys } from './leg-keys.ts'
import type { Monitor } from './mirror-surgery.ts'

const key = { identity: 'h1/vol-v-e5', secret: 'ab'.repeat(32) }
const here: OpenLeg = {
  node: 'd0-leg0',
  leg: { host: 'h1', endpoint: { kind: 'tcp', address: '127.0.0.1', port: 1 }, exportName: 'vol-v-e5', local: true },
}
const there: OpenLeg = {
  node: 'd0-leg1',
  leg: { host: 'h2', endpoint: { kind: 'tcp', address: '10.0.0.2', port: 2, key }, exportName: 'vol-v-e5' },
}
const disk = { legs: [here, there] } as unknown as DiskRecord

function legKeys(context: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'stead-keys-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'leg-keys')
  return { path, keys: new LegKeys(path) }
}

/** What it is asked, with what the key's file held at that moment. */
function monitorOf(path: string, refused?: string) {
  const asked: string[] = []
  const execute = async (command: string, args: object = {}) => {
    const { id } = args as { id: string }
    const file = join(path, 'd0-leg1', 'keys.psk')
    asked.push(`${command} ${id}${existsSync(file) ? ` ${readFileSync(file, 'utf8').trim()}` : ''}`)
    return command === refused ? fail(failure('hypervisor', 'refused')) : ok({})
  }
  return { asked, monitor: { execute, executeOutOfBand: execute } as unknown as Monitor }
}

test('a QEMU that is about to start finds the keys of the legs on other hosts, and nobody else can read them', (t) => {
  const { keys, path } = legKeys(t)
  const [option, text = ''] = must(keys.argumentsFor([disk]))
  assert.equal(option, '-object')
  const object = JSON.parse(text) as Record<string, string>
  assert.deepEqual([object['id'], object['username'], object['endpoint']], ['key-d0-leg1', key.identity, 'client'])
  assert.ok(!text.includes(key.secret), 'the command line is everybody’s')
  assert.deepEqual(readdirSync(path), ['d0-leg1'])
  const file = join(String(object['dir']), 'keys.psk')
  assert.equal(readFileSync(file, 'utf8'), `${key.identity}:${key.secret}\n`)
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.equal(statSync(join(path, 'd0-leg1')).mode & 0o777, 0o700)
  keys.remove()
  assert.equal(existsSync(path), false)
})

test('a disk whose legs are all on its own host needs none', (t) => {
  const { keys, path } = legKeys(t)
  assert.deepEqual(must(keys.argumentsFor([{ ...disk, legs: [here] }])), [])
  assert.equal(existsSync(path), false)
})

test('a leg is opened while its key is there; neither file nor object outlives that', async (t) => {
  const { keys, path } = legKeys(t)
  const { monitor, asked } = monitorOf(path)
  const line = `${key.identity}:${key.secret}`
  must(
    await keys.whileThere(monitor, [here, there], async () => {
      assert.deepEqual(asked, [`object-del key-d0-leg1 ${line}`, `object-add key-d0-leg1 ${line}`])
      return ok()
    }),
  )
  assert.equal(asked.at(-1), 'object-del key-d0-leg1')
  assert.deepEqual(readdirSync(path), [])
})

test('nor do they when the leg cannot be opened, or QEMU refuses the key', async (t) => {
  const { keys, path } = legKeys(t)
  const opened = await keys.whileThere(monitorOf(path).monitor, [there], async () => fail(failure('storage', 'no')))
  assert.equal(opened.ok, false)
  assert.deepEqual(readdirSync(path), [])
  let isOpened = false
  const { monitor, asked } = monitorOf(path, 'object-add')
  const refused = await keys.whileThere(monitor, [there], async () => ok(void (isOpened = true)))
  assert.deepEqual([refused.ok, isOpened, asked.at(-1)], [false, false, 'object-del key-d0-leg1'])
  assert.deepEqual(readdirSync(path), [])
})
