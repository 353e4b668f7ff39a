import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GuestLaunch } from '../ports/guest-host.ts'
import type { GuestId, VolumeId } from './ids.ts'
import { grownLike, machineDifferences } from './guest-machine.ts'

const VOLUME = 'a'.repeat(32) as VolumeId
const KNOWN: GuestLaunch = {
  ...{ guest: 'g' as GuestId, name: 'web', epoch: 3, memoryBytes: 2 ** 27, cpus: 1, machine: 'pc-q35-10.0' },
  boot: { kind: 'kernel', kernelPath: '/h1/blobs/sha256-1', append: 'quiet' },
  disks: [{ volume: VOLUME, sizeBytes: 2 ** 26, legs: [], width: 2 }],
  nics: [{ mac: '52:54:00:00:00:01', network: 'lan', slot: 0, tap: 'h1-tap' }],
  cdroms: [{ id: 'cdrom', bus: 'sata', path: '/h1/blobs/sha256-2' }],
  accelerator: 'tcg',
}

test('the same machine elsewhere is the same: other folders, taps, legs and epochs do not count', () => {
  const other: GuestLaunch = {
    ...KNOWN,
    epoch: 9,
    boot: { kind: 'kernel', kernelPath: '/h2/blobs/sha256-1', append: 'quiet' },
    disks: [{ volume: VOLUME, sizeBytes: 2 ** 26, legs: [], width: 3, slot: 0 }],
    nics: [{ mac: '52:54:00:00:00:01', network: 'lan', slot: 0, tap: 'h2-tap' }],
    cdroms: [{ id: 'cdrom', bus: 'sata', path: '/h2/blobs/sha256-2' }],
    display: 'none',
  }
  assert.deepEqual(machineDifferences(KNOWN, other), [])
})

const DIFFERENT: readonly (readonly [name: string, change: Partial<GuestLaunch>])[] = [
  ['memory', { memoryBytes: 2 ** 28 }],
  ['processors', { cpus: 2 }],
  ['processors', { cpusMax: 4 }],
  ['memory', { memoryAddedBytes: 2 ** 22 }],
  ['memory', { memoryMaxBytes: 2 ** 28 }],
  ['the kind of machine', { machine: 'pc-q35-9.2' }],
  ['the kind of machine', { accelerator: 'kvm' }],
  ['the kind of processor', { processorLevel: 2 }],
  ['the screen', { display: 'vga' }],
  ['disks', { disks: [] }],
  ['disks', { disks: [{ volume: VOLUME, sizeBytes: 2 ** 27, legs: [], width: 2 }] }],
  ['disks', { disks: [{ volume: VOLUME, sizeBytes: 2 ** 26, legs: [], width: 2, slot: 1 }] }],
  ['network cards', { nics: [{ mac: '52:54:00:00:00:02', network: 'lan', slot: 0, tap: 'h1-tap' }] }],
  ['CD drives and what lies in them', { cdroms: [{ id: 'cdrom', bus: 'sata' }] }],
  ['what it boots from', { boot: { kind: 'disk' } }],
  ['firmware and platform', { platform: { watchdog: 'reset' } }],
]
for (const [name, change] of DIFFERENT)
  test(`another machine: ${JSON.stringify(change).slice(0, 60)}`, () => {
    assert.deepEqual(machineDifferences(KNOWN, { ...KNOWN, ...change }), [name])
  })

test('a machine that grew is the same as one that boots with all of it, once its memory is divided alike', () => {
  const grown: GuestLaunch = { ...KNOWN, memoryMaxBytes: 2 ** 29, memoryAddedBytes: 2 ** 27 }
  const booting: GuestLaunch = { ...KNOWN, memoryMaxBytes: 2 ** 29, memoryBytes: 2 ** 28 }
  assert.deepEqual(machineDifferences(grown, booting), ['memory'])
  assert.deepEqual(machineDifferences(grown, grownLike(booting, grown)), [])
  assert.deepEqual(machineDifferences(grown, grownLike({ ...booting, memoryBytes: 2 ** 27 }, grown)), ['memory'])
})
