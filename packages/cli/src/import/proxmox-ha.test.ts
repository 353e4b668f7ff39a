import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Imported } from './imported.ts'
import { importProxmoxHa } from './proxmox-ha.ts'

const GIB = 2 ** 30
const fixture = (name: string) => readFileSync(join(import.meta.dirname, 'fixtures', name), 'utf8')
const files = (...names: string[]) => names.map((path) => ({ path, text: fixture(path) }))
const SIZES = fixture('cluster-resources.json')

function imported(result: ReturnType<typeof importProxmoxHa>): Imported {
  assert.ok(result.ok, result.ok ? '' : result.error.message)
  return result.value
}
const fromText = (text: string, sizes?: string) => importProxmoxHa([{ path: 'x.cfg', text }], sizes)
function refusal(result: ReturnType<typeof importProxmoxHa>): string {
  assert.ok(!result.ok, 'it was taken')
  assert.equal(result.error.code, 'bad_request')
  return result.error.message
}

test('version 9: rules, resources, and sizes from pvesh', () => {
  const { file, leftOut } = imported(importProxmoxHa(files('ha-rules.cfg', 'ha-resources-9.cfg'), SIZES))
  assert.deepEqual(file.hosts, [
    { name: 'pve1', memoryBytes: 128 * GIB, cpus: 32 },
    { name: 'pve2', memoryBytes: 128 * GIB, cpus: 32 },
    { name: 'pve3', memoryBytes: 1024 * GIB, cpus: 256, state: 'lost' },
  ])
  const database = { memoryBytes: 32 * GIB, cpus: 8, diskBytes: 100 * GIB }
  const small = { memoryBytes: GIB / 2, cpus: 1, diskBytes: 4 * GIB }
  assert.deepEqual(file.guests, [
    { name: 'vm-100', ...database, host: 'pve1', maxRestart: 2, maxRelocate: 1, failback: false },
    { name: 'vm-101', ...database, ha: 'stopped', maxRestart: 1, maxRelocate: 1 },
    { name: 'ct-200', ...small, host: 'pve3', ha: 'ignored', maxRestart: 1, maxRelocate: 1 },
    { name: 'ct-201', ...small, host: 'pve2', maxRestart: 1, maxRelocate: 1 },
    // Not under HA: it takes room where it is, and nothing moves it.
    { name: 'vm-300', memoryBytes: 4 * GIB, cpus: 2, host: 'pve1', ha: 'ignored' },
  ])
  const comment = 'the fast disks are there'
  const ranked = [
    { host: 'pve1', priority: 2 },
    { host: 'pve2', priority: 1 },
  ]
  const databases = ['vm-100', 'vm-101']
  assert.deepEqual(file.rules, [
    { id: 'database-nodes', comment, kind: 'hosts', guests: databases, hosts: ranked, strict: true },
    { id: 'prefer-3', kind: 'hosts', guests: ['ct-200'], hosts: [{ host: 'pve3', priority: 0 }], strict: false },
    { id: 'databases-apart', kind: 'apart', guests: databases, strict: true, across: 'host' },
    { id: 'frontends', kind: 'together', guests: ['ct-200', 'ct-201'], strict: true },
  ])
  assert.deepEqual(
    leftOut.map(({ what, where }) => `${what} (${where})`),
    [
      'template ([8], qemu/9000)',
      'size of a node (pve3)',
      'property auto-rebalance (ha-resources-9.cfg line 14)',
      'resource-affinity app-with-cache (ha-rules.cfg line 15)',
      'disks (the file of sizes)',
      'resource vm-999 of a rule (frontends)',
    ],
  )
})

test('version 8: groups, and no sizes', () => {
  const { file, leftOut } = imported(importProxmoxHa(files('ha-groups.cfg', 'ha-resources-8.cfg')))
  assert.deepEqual(
    file.hosts.map(({ name }) => name),
    ['pve2', 'pve1', 'pve3'],
  )
  const assumed = { memoryBytes: GIB, cpus: 1 }
  assert.deepEqual(file.guests, [
    { name: 'vm-100', ...assumed, maxRestart: 0, maxRelocate: 3, failback: false },
    { name: 'ct-200', ...assumed, ha: 'stopped', maxRestart: 1, maxRelocate: 1 },
  ])
  const hosts = [
    { host: 'pve2', priority: 2 },
    { host: 'pve1', priority: 2 },
    { host: 'pve3', priority: 0 },
  ]
  assert.deepEqual(file.rules, [
    { id: 'upper', comment: 'upper floor', kind: 'hosts', guests: ['vm-100'], hosts, strict: true },
  ])
  assert.deepEqual(
    leftOut.map(({ what }) => what),
    ['size of a node', 'group empty', 'size of a guest'],
  )
})

test('sections of other types, states and properties are left out and said', () => {
  const { file, leftOut } = imported(
    fromText('vm: 1\n\tstate frozen\n\tcolour red\n\nspace: x\n\tnodes a\n\nvm: 1\n\nvm: seven\n', SIZES),
  )
  assert.ok(file.guests.some(({ name, ha }) => name === 'vm-1' && ha === undefined))
  for (const what of ['state frozen', 'property colour', 'section space', 'resource vm:1', 'resource vm:seven'])
    assert.ok(
      leftOut.some((one) => one.what === what),
      what,
    )
})

test('a rule on nodes that have left the cluster is left out', () => {
  const { file, leftOut } = imported(
    fromText('node-affinity: old\n\tnodes gone\n\tresources vm:100\n\tstrict 1\n', SIZES),
  )
  assert.deepEqual(file.rules, [])
  assert.deepEqual(
    leftOut.filter(({ where }) => where === 'old').map(({ what }) => what),
    ['node gone', 'rule old'],
  )
})

test('files that are not as Proxmox VE writes them are refused with file and line', () => {
  assert.match(refusal(fromText('vm: 1\n\tstate started\nnonsense\n')), /^x\.cfg: .* line 3: `nonsense` is no section/)
  assert.match(refusal(fromText('\tstate started\n')), /line 1: `state started` belongs to no section/)
  assert.match(refusal(fromText('vm: 1\n\tstate started\n\tstate stopped\n')), /line 3: state is there twice/)
  assert.equal(refusal(fromText('vm: 1\n')), 'No file names a node')
})

test('sizes that can not be are refused with the entry', () => {
  const node = { type: 'node', node: 'pve1', maxmem: 1, maxcpu: 1 }
  const sizes = (...entries: unknown[]) => refusal(fromText('', JSON.stringify(entries)))
  assert.match(refusal(fromText('', '[{')), /it is no JSON/)
  assert.match(refusal(fromText('', '{}')), /it is no list/)
  assert.match(sizes({ ...node, maxmem: -5 }), /\[0\]\.maxmem is -5, not a number from 0/)
  assert.match(sizes(node, { ...node, node: 7 }), /\[1\]\.node is not a name/)
  assert.match(sizes(node, node), /the node pve1 is there twice/)
  assert.match(sizes(node, { type: 'qemu', vmid: 'x', node: 'pve1' }), /\[1\]\.vmid is "x"/)
  assert.match(sizes({ ...node, maxmem: 1e300 }), /hosts\[0\]\.memoryBytes: must be a whole number/)
  assert.match(sizes(null), /\[0\] is no object/)
})

test('damaged files are imported or refused, whatever is damaged', () => {
  const damage = (text: string, at: number, length: number, put: string) =>
    text.slice(0, at % text.length) + put + text.slice((at % text.length) + length)
  fc.assert(
    fc.property(fc.nat(), fc.nat(30), fc.constantFrom('', '\n', '\t', ':', '{}', '-1', '[]'), (at, length, put) => {
      const [rules, resources] = files('ha-rules.cfg', 'ha-resources-9.cfg')
      const results = [
        importProxmoxHa([{ path: 'r', text: damage(rules!.text, at, length, put) }, resources!], SIZES),
        importProxmoxHa([rules!, resources!], damage(SIZES, at, length, put)),
      ]
      for (const result of results) assert.ok(result.ok || result.error.code === 'bad_request')
    }),
    { numRuns: 300 },
  )
})
