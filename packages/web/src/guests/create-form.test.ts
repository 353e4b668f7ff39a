import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createGuestBody } from '@stead/api/endpoints/guests.ts'
import {
  bodyOf,
  complaintsAbout,
  emptyDisk,
  emptyForm,
  withImage,
  withNativeRoot,
  type CreateForm,
} from './create-form.ts'

const GIB = 2 ** 30
const machine = (change: Partial<CreateForm> = {}): CreateForm => ({ ...emptyForm('vm'), name: 'web-1', ...change })
const container = (change: Partial<CreateForm> = {}): CreateForm => ({
  ...emptyForm('ct'),
  ...{ name: 'c1', template: 'debian' },
  ...change,
})
const isTaken = (form: CreateForm) => createGuestBody.safeParse(bodyOf(form)).success

test('a machine: what was filled in is what is asked for, and the schema takes it', () => {
  const form = machine({
    ...{ name: ' web-1 ', cpus: 4, cpusMax: 8, memoryGib: 1.5, memoryMaxGib: 4, host: 'h2', project: 'shop' },
    ...{ firmware: 'uefi-secure', tpm: true, watchdog: 'reset', processor: 'host', display: true, nic: false },
    disks: [{ ...emptyDisk(0, 20), image: 'debian-12', linked: true, pool: 'fast', copies: 3 }],
  })
  assert.deepEqual(bodyOf(form), {
    ...{ name: 'web-1', project: 'shop', cpus: 4, cpusMax: 8, memoryBytes: 1.5 * GIB, memoryMaxBytes: 4 * GIB },
    disks: [{ sizeBytes: 20 * GIB, replicas: 3, pool: 'fast', image: 'debian-12', linked: true }],
    ...{ host: 'h2', nic: false, boot: { kind: 'disk' }, display: 'vga' },
    platform: { firmware: 'uefi-secure', tpm: true, watchdog: 'reset' },
    ...{ processor: 'host', start: true },
  })
  assert.equal(isTaken(form), true)
})

test('an image brings its size, its other disks and its hardware, and takes them along when another is chosen', () => {
  const own = { ...emptyDisk(7, 5), copies: 1 as const }
  const before = machine({ disks: [emptyDisk(0, 20), own] })
  const chosen = withImage(before, {
    ...{ name: 'shop', virtualSizeBytes: 30.5 * GIB, moreDisks: [{ virtualSizeBytes: 3 * GIB }] },
    hardware: { memoryBytes: 6 * GIB, cpus: 3 },
  })
  assert.deepEqual(
    chosen.disks.map(({ sizeGib, image, imageDisk }) => [sizeGib, image, imageDisk]),
    [
      [31, 'shop', 0],
      [3, 'shop', 1],
      [5, '', 0],
    ],
  )
  assert.deepEqual([chosen.memoryGib, chosen.cpus, chosen.cloudInit.isWanted], [6, 3, true])
  assert.equal(new Set(chosen.disks.map(({ key }) => key)).size, 3)
  assert.equal(isTaken(chosen), true)
  const other = withImage(chosen, { name: 'small', virtualSizeBytes: GIB })
  assert.deepEqual(
    other.disks.map(({ sizeGib, image }) => [sizeGib, image]),
    [
      [31, 'small'],
      [5, ''],
    ],
  )
  assert.deepEqual(
    withImage(other, undefined).disks.map(({ image }) => image),
    ['', ''],
  )
})

test('cloud-init is told what was filled in, and only that', () => {
  const { cloudInit } = emptyForm('vm')
  const filled = { ...cloudInit, isWanted: true, user: 'alice', sshKeys: '\nssh-ed25519 AAAA a b\n\n', userData: '' }
  const form = machine({
    cloudInit: { ...filled, addressing: 'static', address: '192.0.2.10/24', nameservers: '192.0.2.1, 192.0.2.2' },
  })
  assert.deepEqual(bodyOf(form).media, {
    cloudInit: {
      ...{ user: 'alice', sshKeys: ['ssh-ed25519 AAAA a b'] },
      network: { kind: 'static', address: '192.0.2.10/24', nameservers: ['192.0.2.1', '192.0.2.2'] },
    },
  })
  assert.equal(isTaken(form), true)
  assert.equal(bodyOf(machine({ cloudInit: { ...filled, isWanted: false } })).media, undefined)
  assert.equal(bodyOf(machine({ cloudInit: { ...cloudInit, isWanted: true } })).media, undefined)
  const wrong = complaintsAbout(machine({ cloudInit: { ...filled, user: 'Alice', addressing: 'static' } }))
  assert.match(wrong?.at('media.cloudInit.user') ?? '', /user name/)
  assert.match(wrong?.at('media.cloudInit.network.address') ?? '', /prefix/)
})

test('a container: its template, addresses, mounts and limits, and nothing of a machine', () => {
  const form = container({
    ...{ addresses: '192.0.2.10/24, 2001:db8::2/64', gateways: '192.0.2.1', display: true, firmware: 'uefi' },
    ...{ cdrom: 'iso', nesting: true, disks: [emptyDisk(0, 8), { ...emptyDisk(1, 4), mountPath: '/srv' }] },
    limits: { preset: 'vps.small', processes: 200, swapGib: '', others: 'numfile=1024:2048\n' },
  })
  const body = bodyOf(form)
  assert.deepEqual(body.boot, { kind: 'container' })
  assert.deepEqual([body.display, body.platform, body.media], [undefined, undefined, undefined])
  const { limits, ...rest } = body.container ?? { template: '' }
  assert.deepEqual(rest, {
    ...{ template: 'debian', addresses: ['192.0.2.10/24', '2001:db8::2/64'], gateways: ['192.0.2.1'] },
    ...{ mounts: ['/srv'], nesting: true },
  })
  assert.deepEqual(limits?.numproc, { limit: 200 })
  assert.deepEqual(limits?.numfile, { barrier: 1024, limit: 2048 })
  assert.equal(limits?.physpages, undefined, 'memory is the size that every guest has')
  assert.equal(complaintsAbout(form), undefined)
})

test('sizes are rounded to what the API takes', () => {
  assert.equal(complaintsAbout(machine({ memoryGib: 0.3333, disks: [emptyDisk(0, 1.3333333)] })), undefined)
})

test('each complaint of the schema stands at its field', () => {
  const form = container({ name: 'Web_1', memoryGib: 0, addresses: 'nowhere', template: '' })
  const complaints = complaintsAbout({ ...form, limits: { ...form.limits, others: 'numfoo=3' } })
  assert.match(complaints?.at('name') ?? '', /DNS label/)
  for (const path of ['memoryBytes', 'container.addresses', 'container.template', 'container.limits'])
    assert.ok(complaints?.at(path), path)
  assert.equal(complaints?.at('cpus'), undefined)
  assert.equal(complaints?.rest, '')
  const mounts = complaintsAbout(container({ disks: [emptyDisk(0, 8), emptyDisk(1, 4)] }))
  assert.match(mounts?.at('container.mounts[0]') ?? '', /absolute path/)
})

test('a native root has one copy of its disk and, where that is wanted, one that follows it', () => {
  const plain = container()
  const native = { ...plain, ...withNativeRoot(plain, true) }
  assert.equal(bodyOf(native).rootCopy, undefined)
  const followed = { ...native, rootCopy: { onLoss: 'wait' as const, to: 'h2', minutes: 5 } }
  assert.deepEqual(bodyOf(followed).rootCopy, { onLoss: 'wait', to: 'h2', everyMs: 300_000 })
  assert.equal(isTaken(followed), true)
  const tooOften = { ...followed, rootCopy: { ...followed.rootCopy, minutes: 0 } }
  assert.notEqual(complaintsAbout(tooOften)?.at('rootCopy.everyMs'), undefined)
  assert.equal(bodyOf({ ...followed, ...withNativeRoot(followed, false) }).rootCopy, undefined)
})
