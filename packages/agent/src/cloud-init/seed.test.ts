import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { CloudInitSettings } from '@stead/core/model/media.ts'
import { seedImage } from './seed.ts'

const guest = {
  id: '2f0c5c0e-7a55-4f0e-8d6e-1f6d8f6f4b10' as GuestId,
  name: 'web1',
  nics: [{ mac: '52:54:00:00:00:01', network: 'lan' as const }],
}
const SECTOR = 2048

/** The files as a system that knows Joliet sees them: from the second volume descriptor on. */
function filesOf(image: Buffer): Map<string, string> {
  const joliet = image.subarray(17 * SECTOR, 18 * SECTOR)
  assert.equal(joliet[0], 2)
  const root = joliet.readUInt32LE(156 + 2)
  const files = new Map<string, string>()
  for (let at = root * SECTOR; image[at] !== 0; at += image[at] ?? 0) {
    const nameLength = image[at + 32] ?? 0
    if (nameLength === 1) continue
    const name = Buffer.from(image.subarray(at + 33, at + 33 + nameLength))
      .swap16()
      .toString('utf16le')
    const start = image.readUInt32LE(at + 2) * SECTOR
    files.set(name, image.toString('utf8', start, start + image.readUInt32LE(at + 10)))
  }
  return files
}

const jsonOf = (text: string | undefined) => JSON.parse((text ?? '').replace(/^#cloud-config\n/, '')) as unknown
const fileOf = (settings: CloudInitSettings, name: string) => filesOf(seedImage(guest, settings).content).get(name)
const instanceOf = (settings: CloudInitSettings) =>
  (jsonOf(fileOf(settings, 'meta-data')) as Record<string, string>)['instance-id']

describe("cloud-init's seed", () => {
  it('is an ISO 9660 image with the label by which NoCloud finds it', () => {
    const { content } = seedImage(guest, {})
    assert.equal(content.toString('latin1', 16 * SECTOR + 1, 16 * SECTOR + 6), 'CD001')
    assert.equal(content.toString('latin1', 16 * SECTOR + 40, 16 * SECTOR + 72).trim(), 'cidata')
    assert.deepEqual([...filesOf(content).keys()], ['meta-data', 'user-data'])
  })

  it('makes a user with keys, the host name and a static address of the card with that MAC', () => {
    const settings: CloudInitSettings = {
      user: 'ada',
      sshKeys: ['ssh-ed25519 AAAA ada@example'],
      network: { kind: 'static', address: '192.0.2.10/24', gateway: '192.0.2.1', nameservers: ['192.0.2.2'] },
    }
    const user = { name: 'ada', shell: '/bin/bash', sudo: 'ALL=(ALL) NOPASSWD:ALL' }
    assert.deepEqual(jsonOf(fileOf(settings, 'user-data')), {
      preserve_hostname: false,
      manage_etc_hosts: true,
      users: [{ ...user, ssh_authorized_keys: settings.sshKeys }],
    })
    assert.deepEqual(jsonOf(fileOf(settings, 'network-config')), {
      version: 2,
      ethernets: {
        nic0: {
          match: { macaddress: '52:54:00:00:00:01' },
          addresses: ['192.0.2.10/24'],
          routes: [{ to: '0.0.0.0/0', via: '192.0.2.1' }],
          nameservers: { addresses: ['192.0.2.2'] },
        },
      },
    })
  })

  it("hands the user's own data over unchanged, and what was generated as the vendor's", () => {
    const userData = '#!/bin/sh\necho hello\n'
    assert.equal(fileOf({ userData, user: 'ada' }, 'user-data'), userData)
    assert.match(fileOf({ userData, user: 'ada' }, 'vendor-data') ?? '', /^#cloud-config\n[^]*ada/)
  })

  it('is another instance exactly when the settings are others', () => {
    const settings: CloudInitSettings = { hostname: 'a' }
    assert.equal(instanceOf(settings), instanceOf({ ...settings }))
    assert.notEqual(instanceOf(settings), instanceOf({ hostname: 'b' }))
    assert.notEqual(instanceOf(settings), instanceOf({ ...settings, network: { kind: 'dhcp' } }))
    assert.equal(seedImage(guest, settings).blob, seedImage(guest, { ...settings }).blob)
  })
})
