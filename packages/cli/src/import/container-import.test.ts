import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Result } from '@stead/core/result.ts'
import type { ContainerImport, ImportRemark } from './container-wish.ts'
import { importOpenVz } from './openvz-container.ts'
import { importProxmoxContainer } from './proxmox-container.ts'

const MIB = 2 ** 20
const fixture = (name: string) => readFileSync(join(import.meta.dirname, 'fixtures', name), 'utf8')
function taken(result: Result<ContainerImport>): ContainerImport {
  assert.ok(result.ok, result.ok ? '' : result.error.message)
  return result.value
}
function refusal(result: Result<ContainerImport>): string {
  assert.ok(!result.ok, 'it was taken')
  assert.equal(result.error.code, 'bad_request')
  return result.error.message
}
const names = (remarks: readonly ImportRemark[]) => remarks.map(({ what, where }) => `${what} (${where})`)

test('OpenVZ with beancounters: what could be allocated becomes the memory', () => {
  const { wish, changed, leftOut } = taken(importOpenVz(fixture('101.conf'), '/etc/vz/conf/101.conf'))
  assert.deepEqual(wish, {
    name: 'mail',
    hostname: 'mail.example.org',
    // 69,632 pages.
    memoryBytes: 272 * MIB,
    cpus: 2,
    limits: {
      kmemsize: { barrier: 14_372_700, limit: 14_790_164 },
      lockedpages: { barrier: 2048, limit: 2048 },
      shmpages: { barrier: 21_504, limit: 21_504 },
      numproc: { limit: 240 },
      vmguarpages: { barrier: 33_792 },
      oomguarpages: { barrier: 26_112 },
      numfile: { barrier: 9312, limit: 9312 },
      dcachesize: { barrier: 3_409_920, limit: 3_624_960 },
      cpuunits: { limit: 1000 },
      cpulimit: { limit: 150 },
      ioprio: { limit: 4 },
      iolimit: { limit: 10 * MIB },
    },
    nics: [
      { name: 'eth0', bridge: 'venet0', addresses: ['192.0.2.10', '2001:db8::10/64'] },
      { name: 'eth1', mac: '00:18:51:e1:5c:a4', bridge: 'vzbr0', addresses: [] },
    ],
    nameservers: ['192.0.2.53', '192.0.2.54'],
    searchDomains: ['example.org'],
    diskBytes: 2_306_867 * 1024,
    diskInodes: 220_000,
    mounts: [],
    privileged: false,
    nesting: false,
    autostart: true,
    tags: [],
  })
  assert.match(changed.find(({ what }) => what === 'PRIVVMPAGES')?.text ?? '', /what is used is limited/)
  assert.match(changed.find(({ what }) => what === 'IP_ADDRESS')?.text ?? '', /the length of the network$/)
  assert.deepEqual(names(leftOut), [
    'NETIF host_ifname (line 32)',
    'NETIF host_mac (line 32)',
    'AVNUMPROC (line 14)',
    'QUOTATIME (line 20)',
    'VE_ROOT (line 24)',
    'VE_PRIVATE (line 25)',
    'OSTEMPLATE (line 26)',
    'ORIGIN_SAMPLE (line 27)',
    'FEATURES (line 33)',
    'CAPABILITY (line 34)',
    'DEVNODES (line 35)',
    'SOMETHING_NEW (line 38)',
  ])
})

test('OpenVZ with VSwap: sizes with suffixes, in whatever unit', () => {
  const { wish, leftOut } = taken(importOpenVz(fixture('vswap.conf'), '7.conf'))
  assert.equal(wish.name, 'shop')
  assert.equal(wish.memoryBytes, 512 * MIB)
  assert.equal(wish.swapBytes, 1024 * MIB)
  assert.equal(wish.diskBytes, 10 * 1024 * MIB)
  assert.equal(wish.cpus, 2)
  assert.equal(wish.autostart, false)
  assert.deepEqual(wish.limits, { physpages: { limit: 131_072 }, swappages: { limit: 262_144 } })
  assert.deepEqual(wish.nameservers, [])
  assert.deepEqual(names(leftOut), ['NAMESERVER (line 10)'])
})

test('OpenVZ: amounts', () => {
  const limitOf = (line: string, resource: string) => taken(importOpenVz(line, '1.conf')).wish.limits[resource]
  assert.deepEqual(limitOf('KMEMSIZE="1M:2M"', 'kmemsize'), { barrier: MIB, limit: 2 * MIB })
  assert.deepEqual(limitOf('LOCKEDPAGES="1M"', 'lockedpages'), { barrier: 256, limit: 256 })
  assert.deepEqual(limitOf('LOCKEDPAGES="64P:5000B"', 'lockedpages'), { barrier: 64, limit: 2 })
  assert.deepEqual(limitOf('NUMFILE="1K"', 'numfile'), { barrier: 1024, limit: 1024 })
  assert.equal(limitOf('NUMFLOCK="2147483647:2147483647"', 'numflock'), undefined)
  assert.equal(taken(importOpenVz('CPULIMIT="0"', '1.conf')).wish.cpus, undefined)
  assert.equal(taken(importOpenVz('', '/root/104.conf')).wish.name, 'ct-104')
})

test('OpenVZ: what can not be read is refused with its line', () => {
  const refused = (text: string) => refusal(importOpenVz(`ONBOOT="yes"\n${text}`, '101.conf'))
  assert.equal(refused('NUMPROC="many"'), '101.conf line 2: `many` is no number, and not unlimited')
  assert.equal(refused('NUMPROC="1:2:3"'), '101.conf line 2: `1:2:3` is more than a barrier and a limit')
  assert.equal(refused('NUMPROC="1P"'), '101.conf line 2: `1P` is a size, and items are counted here')
  assert.equal(refused('CPUUNITS="x"'), '101.conf line 2: CPUUNITS is `x`, which is no whole number')
  assert.equal(refused('NETIF="eth0"'), '101.conf line 2: `eth0` of NETIF is no NAME=VALUE')
  assert.equal(refused('just words'), '101.conf line 2: `just words` is no NAME="value"')
})

test('Proxmox VE: a container with cards, volumes and a snapshot', () => {
  const { wish, changed, leftOut } = taken(importProxmoxContainer(fixture('lxc-105.conf'), '105.conf'))
  assert.deepEqual(wish, {
    name: 'mx',
    hostname: 'mx.example.org',
    memoryBytes: 2048 * MIB,
    swapBytes: 0,
    cpus: 2,
    limits: { cpulimit: { limit: 150 }, cpuunits: { limit: 2000 } },
    nics: [
      {
        name: 'eth0',
        mac: 'bc:24:11:2e:33:01',
        bridge: 'vmbr0',
        addresses: ['192.0.2.25/24', '2001:db8::25/64'],
        gateway: '192.0.2.1',
        gateway6: '2001:db8::1',
        bytesPerSecond: 12.5 * MIB,
      },
      { name: 'eth1', mac: 'bc:24:11:2e:33:02', bridge: 'vmbr1', addresses: [] },
    ],
    nameservers: ['192.0.2.53', '2001:db8::53'],
    searchDomains: ['example.org'],
    diskBytes: 8192 * MIB,
    mounts: [
      {
        path: '/srv/mail',
        source: 'local-lvm:vm-105-disk-1',
        kind: 'volume',
        sizeBytes: 102_400 * MIB,
        readOnly: false,
      },
      { path: '/srv/bulk', source: '/mnt/bulk', kind: 'host', readOnly: true },
    ],
    privileged: false,
    nesting: true,
    autostart: true,
    startOrder: 3,
    tags: ['mail', 'production'],
    notes: 'Mail gateway\nasks for 100%',
  })
  assert.deepEqual(names(changed), ['cores (line 3)', 'cpuunits (line 5)', 'net1 ip (line 13)', 'mp1 (line 10)'])
  assert.deepEqual(names(leftOut), [
    'lxc.cgroup2.devices.allow (line 22)',
    'section before-upgrade (line 25)',
    'startup up (line 18)',
    'net0 firewall (line 12)',
    'net0 tag (line 12)',
    'mp0 backup (line 9)',
    'features keyctl (line 6)',
    'ostype (line 15)',
    'novelty (line 23)',
  ])
})

test('Proxmox VE: what is not said is what Proxmox VE assumes', () => {
  const { wish, changed, leftOut } = taken(
    importProxmoxContainer('#one%0Atwo\ncpuunits: 1024\n', '/etc/pve/lxc/7.conf'),
  )
  assert.equal(wish.name, 'ct-7')
  assert.equal(wish.memoryBytes, 512 * MIB)
  assert.equal(wish.swapBytes, 512 * MIB)
  assert.equal(wish.privileged, true)
  assert.equal(wish.notes, 'one\ntwo')
  assert.deepEqual(wish.limits, { cpuunits: { limit: 1000 } })
  assert.deepEqual(names(changed), ['cpuunits (line 2)', 'unprivileged (line 1)'])
  assert.deepEqual(names(leftOut), ['rootfs (line 1)'])
})

test('Proxmox VE: what can not be read is refused with its line', () => {
  const refused = (text: string) => refusal(importProxmoxContainer(`arch: amd64\n${text}`, '105.conf'))
  assert.equal(refused('memory: much'), '105.conf line 2: memory is `much`, which is no whole number')
  assert.equal(refused('net0: name=eth0,ip=here'), '105.conf line 2: `here` of net0 is no ADDRESS/LENGTH')
  assert.equal(refused('mp0: local:x,size=1G'), '105.conf line 2: mp0 does not say where it is mounted (mp=)')
  assert.equal(refused('rootfs: local:x,size=big'), '105.conf line 2: size big of rootfs is no size')
  assert.equal(refused('words'), '105.conf line 2: `words` is no `name: value`')
})

test('every line that says something is told of, or refused', () => {
  const line = fc.tuple(fc.stringMatching(/^[A-Z]{3,9}$/), fc.nat()).map(([name, value]) => ({ name, value }))
  fc.assert(
    fc.property(fc.uniqueArray(line, { selector: ({ name }) => name }), (lines) => {
      for (const [read, text, nameOf] of [
        [importOpenVz, lines.map(({ name, value }) => `${name}="${value}"`), (name: string) => name],
        [
          importProxmoxContainer,
          lines.map(({ name, value }) => `${name.toLowerCase()}: ${value}`),
          (name: string) => name.toLowerCase(),
        ],
      ] as const) {
        const { taken: kept, changed, leftOut } = taken(read(text.join('\n'), '1.conf'))
        const told = new Set([...kept, ...changed, ...leftOut].map(({ what }) => what.split(' ')[0]))
        for (const { name } of lines) assert.ok(told.has(nameOf(name)), name)
      }
    }),
  )
})
