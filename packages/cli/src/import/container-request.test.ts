import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createGuestBody } from '@stead/api/endpoints/guests.ts'
import { requestOf, type ContainerChoices, type ContainerRequest } from './container-request.ts'
import type { ContainerWish } from './container-wish.ts'
import { importOpenVz } from './openvz-container.ts'
import { importProxmoxContainer } from './proxmox-container.ts'

const MIB = 2 ** 20
const CHOICES: ContainerChoices = {
  ...{ replicas: 2, root: 'image', privileged: false, nesting: false, start: false },
  container: {},
}
const WISH: ContainerWish = {
  ...{ name: 'Web1', memoryBytes: 64 * MIB, diskBytes: 128 * MIB, cpus: 1, limits: {}, nics: [], mounts: [] },
  ...{ nameservers: [], searchDomains: [], privileged: false, nesting: false, autostart: false, tags: [] },
}

function request(wish: Partial<ContainerWish>, choices: Partial<ContainerChoices> = {}): ContainerRequest {
  const made = requestOf({ ...WISH, ...wish }, { ...CHOICES, ...choices })
  assert.ok(made.ok, made.ok ? '' : made.error.message)
  // What the API would refuse is no request.
  createGuestBody.parse({ ...made.value.body, container: { ...made.value.body.container, template: 't' } })
  return made.value
}
function refused(wish: Partial<ContainerWish>): string {
  const made = requestOf({ ...WISH, ...wish }, CHOICES)
  return made.ok ? 'it was taken' : made.error.message
}
const whats = ({ changed, leftOut }: ContainerRequest) => [changed, leftOut].map((list) => list.map(({ what }) => what))

test('sizes become whole blocks and mebibytes, and a name one of this cluster', () => {
  const { body, changed } = request({ memoryBytes: 64 * MIB + 1, diskBytes: 128 * MIB + 1 })
  assert.deepEqual([body.name, body.memoryBytes], ['web1', 65 * MIB])
  assert.deepEqual(body.disks, [{ sizeBytes: 128 * MIB + 4096, replicas: 2 }])
  assert.match(changed[0]?.text ?? '', /65 MiB/)
  assert.equal(body.nic, false)
})

test('what the file does not say must be said', () => {
  const { memoryBytes: _memory, ...noMemory } = WISH
  const { diskBytes: _disk, ...noDisk } = WISH
  for (const [wish, what] of [
    [noMemory, /how much memory/],
    [noDisk, /how large its root/],
  ] as const) {
    const made = requestOf(wish, CHOICES)
    assert.match(made.ok ? '' : made.error.message, what)
  }
  const given = requestOf(noMemory, { ...CHOICES, memoryBytes: 32 * MIB })
  assert.ok(given.ok && given.value.body.memoryBytes === 32 * MIB)
})

test('limits are taken by their names, swap in pages, the rate of the card in kbit/s', () => {
  const nic = { bridge: 'vmbr0', addresses: ['192.0.2.1/24'], gateway: '192.0.2.254', bytesPerSecond: 125_000 }
  const { body } = request({
    limits: { numproc: { limit: 80 }, physpages: { limit: 1 }, diskspace: { limit: 1 }, invented: { limit: 1 } },
    ...{ swapBytes: 8 * MIB, nics: [nic] },
  })
  assert.deepEqual(body.container.limits, {
    ...{ numproc: { limit: 80 }, swappages: { limit: 2048 }, netrate: { limit: 1000 } },
  })
  assert.deepEqual([body.container.addresses, body.container.gateways], [['192.0.2.1/24'], ['192.0.2.254']])
})

test('limits below what an init needs are refused before anything is made', () => {
  assert.match(refused({ limits: { numproc: { limit: 3 } } }), /numproc is 3.*a container does not work/)
})

test('the card with addresses is the one; the others, and addresses without a length, are named', () => {
  const cards = [
    { name: 'eth0', bridge: 'a', addresses: [], mac: '02:00:00:00:00:01' },
    { name: 'eth1', bridge: 'b', addresses: ['192.0.2.7', '2001:db8::7/64'] },
  ]
  const made = request({ nics: cards })
  assert.deepEqual(made.body.container.addresses, ['2001:db8::7/64'])
  assert.deepEqual(whats(made)[1], ['card eth0', '192.0.2.7'])
})

test('what weakens a container is never taken from a file', () => {
  const made = request({ privileged: true, nesting: true })
  assert.deepEqual([made.body.container.privileged, made.body.container.nesting], [false, false])
  assert.deepEqual(whats(made)[0], ['privileged', 'nesting'])
  const asked = request({ privileged: true }, { privileged: true })
  assert.deepEqual([asked.body.container.privileged, whats(asked)], [true, [[], []]])
})

test('volumes become empty disks, folders of the host stay there', () => {
  const mount = { readOnly: false, source: 'local:1' }
  const made = request({
    mounts: [
      { ...mount, path: '/srv', kind: 'volume', sizeBytes: 8 * MIB },
      { ...mount, path: '/mnt', kind: 'host' },
    ],
  })
  assert.deepEqual([made.body.disks?.length, made.body.container.mounts], [2, ['/srv']])
  assert.deepEqual(whats(made), [['mount /srv'], ['mount /mnt']])
})

test('what is said on the command line wins', () => {
  const container = { addresses: ['198.51.100.1/24'], hostname: 'other', limits: { numproc: { limit: 99 } } }
  const { body } = request({ hostname: 'WEB.example', limits: { numproc: { limit: 80 } } }, { name: 'n', container })
  assert.deepEqual([body.name, body.container.hostname, body.container.limits], ['n', 'other', container.limits])
  assert.deepEqual([body.container.addresses, body.nic], [['198.51.100.1/24'], true])
  assert.equal(request({ hostname: 'WEB.example' }).body.container.hostname, 'web.example')
})

test('whole files of OpenVZ and Proxmox VE become requests that the API takes', () => {
  const fixture = (name: string) => readFileSync(join(import.meta.dirname, 'fixtures', name), 'utf8')
  for (const read of [
    importOpenVz(fixture('101.conf'), '101.conf'),
    importOpenVz(fixture('vswap.conf'), 'vswap.conf'),
    importProxmoxContainer(fixture('lxc-105.conf'), '105.conf'),
  ]) {
    assert.ok(read.ok)
    const made = request(read.value.wish, { memoryBytes: 512 * MIB, diskBytes: 4096 * MIB })
    assert.ok(made.body.container.limits)
  }
})
