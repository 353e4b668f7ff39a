import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { Result } from '@stead/core/result.ts'
import { cpuList } from './host-inventory.ts'
import { SysfsHostDevices } from './sysfs-host-devices.ts'

const TYPE = 'nvidia/current_vgpu_type'
const CLASS = 'gpu/nvidia-h200x-1-18c'
const [a, b, c] = ['a', 'b', 'c'] as GuestId[]

/** Two virtual functions of one GPU, and four processors. */
function hostWith(context: TestContext) {
  const root = mkdtempSync(join(tmpdir(), 'stead-devices-'))
  context.after(() => rmSync(root, { recursive: true, force: true }))
  const function_ = (address: string) => join(root, 'sys/bus/pci/devices', address)
  for (const address of ['0000:3b:00.4', '0000:3b:00.5']) {
    mkdirSync(join(function_(address), 'nvidia'), { recursive: true })
    writeFileSync(join(function_(address), 'vendor'), '0x10de\n')
    writeFileSync(
      join(function_(address), 'nvidia/creatable_vgpu_types'),
      'ID : vGPU Name\n1414 : NVIDIA H200X-1-18C\n',
    )
    writeFileSync(join(function_(address), TYPE), '0\n')
  }
  mkdirSync(join(root, 'proc/self'), { recursive: true })
  writeFileSync(join(root, 'proc/self/status'), 'Name:\tnode\nCpus_allowed_list:\t0-2,5\n')
  const guestsFolder = join(root, 'guests')
  const devices = () => new SysfsHostDevices({ root, guestsFolder, notesFile: join(root, 'made.json') })
  const run = (guest: string, platform: object) => {
    mkdirSync(join(guestsFolder, guest), { recursive: true })
    writeFileSync(join(guestsFolder, guest, 'launch.json'), JSON.stringify({ version: 1, launch: { platform } }))
  }
  const end = (guest: string) => rmSync(join(guestsFolder, guest), { recursive: true })
  const typeOf = (address: string) => readFileSync(join(function_(address), TYPE), 'utf8').trim()
  return { devices, run, end, typeOf }
}

function must<T>(result: Result<T>): T {
  assert.ok(result.ok, JSON.stringify(result))
  return result.value
}

test('a share is made for a guest, held while it runs, and unmade when another guest is served after it', async (context) => {
  const host = hostWith(context)
  const first = must(await host.devices().claim(a!, { [CLASS]: 1 }))
  assert.deepEqual(first, [{ class: CLASS, kind: 'vgpu', path: 'bus/pci/devices/0000:3b:00.4' }])
  assert.equal(host.typeOf('0000:3b:00.4'), '1414')
  host.run('a', { devices: first })
  // Another life of the agent: who holds what is said by the guests that run.
  const second = must(await host.devices().claim(b!, { [CLASS]: 1 }))
  assert.equal(second[0]?.path, 'bus/pci/devices/0000:3b:00.5')
  host.run('b', { devices: second })
  const refused = await host.devices().claim(c!, { [CLASS]: 1 })
  assert.equal(refused.ok ? '' : refused.error.code, 'no_capacity')
  host.end('a')
  assert.equal(must(await host.devices().claim(c!, { [CLASS]: 1 }))[0]?.path, 'bus/pci/devices/0000:3b:00.4')
})

test('processors are given to one guest only, and never more than the host may use', async (context) => {
  const host = hostWith(context)
  const cpus = must(await host.devices().claimCpus(a!, 3))
  assert.deepEqual(cpus, [0, 1, 2])
  host.run('a', { cpus })
  assert.deepEqual(must(await host.devices().claimCpus(b!, 1)), [5])
  assert.equal((await host.devices().claimCpus(b!, 2)).ok, false)
  assert.deepEqual(must(await host.devices().claimCpus(a!, 3)), [0, 1, 2], 'a guest that starts again may have its own')
})

test('a claim holds until the start of its guest has ended; then what runs holds, and nothing else', async (context) => {
  const host = hostWith(context)
  const devices = host.devices()
  const [share] = must(await devices.claim(a!, { [CLASS]: 1 }))
  const cpus = must(await devices.claimCpus(a!, 3))
  assert.equal(must(await devices.claim(b!, { [CLASS]: 1 }))[0]?.path, 'bus/pci/devices/0000:3b:00.5')
  host.run('a', { devices: [share], cpus })
  devices.settle(a!)
  assert.equal((await devices.claimCpus(c!, 2)).ok, false)
  host.end('a')
  assert.equal(must(await devices.claim(c!, { [CLASS]: 1 }))[0]?.path, share?.path)
  assert.deepEqual(must(await devices.claimCpus(c!, 2)), [0, 1])
})

test("the kernel's lists of processors", () => {
  assert.deepEqual(cpuList('0-3,8\n'), [0, 1, 2, 3, 8])
  assert.deepEqual(cpuList(''), [])
})
