import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createGuestBody } from '@stead/api/endpoints/guests.ts'
import { bodyOf, complaintsAbout, emptyForm } from './create-form.ts'

test('a machine: what was filled in is what is asked for, and the schema takes it', () => {
  const body = bodyOf({
    ...emptyForm('vm'),
    ...{ name: ' web-1 ', cpus: 4, memoryGib: 1.5, diskGib: 20, source: 'debian-12', host: 'h2', uefi: true },
  })
  assert.deepEqual(body, {
    name: 'web-1',
    cpus: 4,
    memoryBytes: 1536 * 2 ** 20,
    disks: [{ sizeBytes: 20 * 2 ** 30, replicas: 2, image: 'debian-12' }],
    boot: { kind: 'disk' },
    host: 'h2',
    platform: { firmware: 'uefi' },
    start: true,
  })
  assert.equal(createGuestBody.safeParse(body).success, true)
})

test('a container: its template and addresses, and nothing of a machine', () => {
  const form = { ...emptyForm('ct'), name: 'c1', source: 'debian', addresses: '192.0.2.10/24, 2001:db8::2/64' }
  const body = bodyOf({ ...form, display: true, uefi: true, cdrom: 'iso' })
  assert.deepEqual(body.container, { template: 'debian', addresses: ['192.0.2.10/24', '2001:db8::2/64'] })
  assert.deepEqual(body.boot, { kind: 'container' })
  assert.deepEqual([body.display, body.platform, body.media], [undefined, undefined, undefined])
  assert.equal(complaintsAbout(form), undefined)
})

test('sizes are rounded to what the API takes', () => {
  const form = { ...emptyForm('vm'), name: 'a', memoryGib: 0.3333, diskGib: 1.3333333 }
  assert.equal(complaintsAbout(form), undefined)
})

test('each complaint of the schema stands at its field', () => {
  const complaints = complaintsAbout({ ...emptyForm('ct'), name: 'Web_1', memoryGib: 0, addresses: 'nowhere' })
  assert.deepEqual(Object.keys(complaints?.fields ?? {}).toSorted(), ['addresses', 'memoryGib', 'name', 'source'])
  assert.match(complaints?.fields.name ?? '', /DNS label/)
  assert.equal(complaints?.rest, '')
})
