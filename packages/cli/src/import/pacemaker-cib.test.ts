import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Rule } from '@stead/core/model/rule.ts'
import type { Imported } from './imported.ts'
import { importPacemakerCib } from './pacemaker-cib.ts'

const GIB = 2 ** 30
const fixture = (name: string) => readFileSync(join(import.meta.dirname, 'fixtures', name), 'utf8')

function imported(text: string): Imported {
  const result = importPacemakerCib(text)
  assert.ok(result.ok, result.ok ? '' : result.error.message)
  return result.value
}

/** Two nodes and these parts; resources and constraints as they stand in a CIB. */
function cib(parts: {
  options?: Record<string, string>
  resources?: string
  constraints?: string
  more?: string
  nodes?: string
}): string {
  const { options = {}, resources = '', constraints = '', more = '' } = parts
  const { nodes = '<node id="1" uname="n1"/><node id="2" uname="n2"/><node id="3" uname="n3"/>' } = parts
  const pairs = Object.entries(options).map(
    ([name, value]) => `<nvpair id="o-${name}" name="${name}" value="${value}"/>`,
  )
  return `<cib><configuration><crm_config><cluster_property_set id="o">${pairs.join('')}</cluster_property_set></crm_config>
<nodes>${nodes}</nodes><resources>${resources}</resources><constraints>${constraints}</constraints>${more}</configuration><status/></cib>`
}

const vm = (id: string, inside = '') =>
  `<primitive id="${id}" class="ocf" provider="heartbeat" type="VirtualDomain">${inside}</primitive>`
const vms = (...ids: string[]) => ids.map((id) => vm(id)).join('')
const meta = (name: string, value: string) =>
  `<meta_attributes id="m-${name}"><nvpair id="nv-${name}" name="${name}" value="${value}"/></meta_attributes>`
const refs = (...ids: string[]) => ids.map((id) => `<resource_ref id="${id}"/>`).join('')

const rulesOf = (constraints: string, resources = vms('a', 'b', 'c', 'd'), options = {}) =>
  imported(cib({ resources, constraints, options })).file.rules
const without = ({ id, ...rule }: Rule) => (assert.ok(id), rule)
const whyLeftOut = ({ leftOut }: Imported, what: string) => leftOut.find((one) => one.what === what)?.why

test('a tuned cluster of two nodes', () => {
  const { file, leftOut } = imported(fixture('two-nodes.xml'))
  assert.equal(file.name, 'office')
  assert.deepEqual(file.policy, { cpuOvercommit: 1, shutdown: 'migrate' })
  assert.deepEqual(file.hosts, [
    { name: 'alpha.example.org', memoryBytes: 64 * GIB, cpus: 32, faultDomains: { rack: 'left' } },
    { name: 'beta.example.org', memoryBytes: 64 * GIB, cpus: 32, maintenance: true, faultDomains: { rack: 'right' } },
  ])
  const web = { memoryBytes: 2 ** 20, cpus: 0, host: 'alpha.example.org', priority: 20, failback: false }
  assert.deepEqual(file.guests, [
    { name: 'web-fs', ...web },
    { name: 'web-ip', ...web },
    { name: 'nginx', ...web, maxRestart: 2 },
    // It was migrated: the status of both nodes names it.
    { name: 'mail', memoryBytes: 8 * GIB, cpus: 2, host: 'beta.example.org' },
    { name: 'test', memoryBytes: 4 * GIB, cpus: 2, ha: 'stopped', priority: -5 },
    { name: 'legacy', memoryBytes: 4 * GIB, cpus: 2, ha: 'ignored', host: 'beta.example.org' },
  ])
  const group = ['web-fs', 'web-ip', 'nginx']
  const home = [{ host: 'alpha.example.org', priority: 0 }]
  const comment = 'INFINITY prefers a host in Pacemaker, it does not rule out others'
  assert.deepEqual(file.rules, [
    { id: 'web', kind: 'together', guests: group, strict: true },
    { id: 'web-order', kind: 'order', guests: group, readyAfterMs: 0, mode: 'required' },
    { id: 'mail-home', comment, kind: 'hosts', guests: ['mail'], hosts: home, strict: false },
    { id: 'web-left', kind: 'hosts', guests: group, hosts: home, strict: false },
    { id: 'no-test', kind: 'ban', guests: ['test'], hosts: ['alpha.example.org'] },
    { id: 'mail-not-web', kind: 'apart', guests: ['web-fs', 'mail'], strict: true, across: 'host' },
    { id: 'racks', kind: 'apart', guests: ['legacy', 'test'], strict: false, across: 'rack' },
    { id: 'web-then-mail', kind: 'order', guests: ['nginx', 'mail'], readyAfterMs: 0, mode: 'optional' },
  ])
  assert.deepEqual(
    leftOut.map(({ what, where }) => `${what} (${where})`),
    [
      'memory of a resource (line 31, web-fs and 2 more)',
      'parameters of resources (line 31, web-fs)',
      'meta attribute failure-timeout (line 46, test)',
      'clone (line 56, ping-clone)',
      'fence device (line 57, fence-alpha)',
      'location (line 62, web-connected)',
      'order (line 67, pinged)',
      'ticket (line 68, t)',
      'option node-health-strategy=migrate-on-red (crm_config)',
      'option no-quorum-policy=ignore (crm_config)',
      'fencing-topology (line 71)',
    ],
  )
})

test('a generated cluster comes out as its neutral description says', () => {
  const { file } = imported(fixture('generated.xml'))
  const neutral = JSON.parse(fixture('generated.json'))
  const [lost] = neutral.event.fail
  assert.deepEqual(
    file.hosts,
    neutral.nodes.map((node: { id: string; cpu: number; memMiB: number }) => ({
      name: node.id,
      memoryBytes: node.memMiB * 2 ** 20,
      cpus: node.cpu,
      ...(node.id === lost ? { state: 'lost' } : {}),
    })),
  )
  assert.deepEqual(
    file.guests.map(({ name, memoryBytes, cpus, host, priority = 0 }) => [
      name,
      memoryBytes / 2 ** 20,
      cpus,
      host,
      priority,
    ]),
    neutral.guests.map((guest: Record<string, unknown>) =>
      ['id', 'memMiB', 'cpu', 'node', 'priority'].map((key) => guest[key]),
    ),
  )
  const pairs = (kind: string) => file.rules.filter((rule) => rule.kind === kind).map(({ guests }) => guests.toSorted())
  for (const kind of ['apart', 'together', 'order']) {
    const wanted = neutral.constraints.filter((one: Record<string, unknown>) => one['kind'] === kind)
    assert.ok(wanted.length > 0)
    assert.deepEqual(
      pairs(kind),
      wanted.map((one: Record<string, string>) =>
        ((one['guests'] as unknown as string[]) ?? [one['first'], one['then']]).toSorted(),
      ),
    )
  }
  // Places were kept by a stickiness of 1000, wishes weigh 100.
  const wishing = new Set(
    file.rules.filter(({ kind }) => kind === 'hosts').flatMap(({ guests }) => guests as readonly string[]),
  )
  assert.deepEqual(new Set(file.guests.filter(({ failback }) => failback === false).map(({ name }) => name)), wishing)
})

test('colocation: infinite scores are strict, others are wishes, negative ones keep apart', () => {
  const kinds = (score: string) =>
    rulesOf(`<rsc_colocation id="c" rsc="a" with-rsc="b" score="${score}"/>`).map(without)
  assert.deepEqual(kinds('INFINITY'), [{ kind: 'together', guests: ['b', 'a'], strict: true }])
  assert.deepEqual(kinds('1000000'), [{ kind: 'together', guests: ['b', 'a'], strict: true }])
  assert.deepEqual(kinds('50'), [{ kind: 'together', guests: ['b', 'a'], strict: false }])
  assert.deepEqual(kinds('-INFINITY'), [{ kind: 'apart', guests: ['b', 'a'], strict: true, across: 'host' }])
  assert.deepEqual(kinds('-1'), [{ kind: 'apart', guests: ['b', 'a'], strict: false, across: 'host' }])
  assert.deepEqual(kinds('0'), [])
})

test('colocation of sets', () => {
  const sets = (score: string, ...inside: string[]) =>
    rulesOf(`<rsc_colocation id="c" score="${score}">${inside.join('')}</rsc_colocation>`).map(without)
  const ab = `<resource_set id="s1">${refs('a', 'b')}</resource_set>`
  const cd = `<resource_set id="s2" sequential="false">${refs('c', 'd')}</resource_set>`
  assert.deepEqual(sets('INFINITY', ab, cd), [{ kind: 'together', guests: ['a', 'b', 'c', 'd'], strict: true }])
  assert.deepEqual(sets('-INFINITY', `<resource_set id="s">${refs('a', 'b', 'c')}</resource_set>`), [
    { kind: 'apart', guests: ['a', 'b', 'c'], strict: true, across: 'host' },
  ])
  // Independent of each other by what Pacemaker says.
  assert.deepEqual(sets('INFINITY', cd), [])
})

test('order: sets in sequence, members of one side by side', () => {
  const first = `<resource_set id="s1" sequential="false">${refs('a', 'b')}</resource_set>`
  const then = `<resource_set id="s2">${refs('c', 'd')}</resource_set>`
  const chains = rulesOf(`<rsc_order id="o">${first}${then}</rsc_order>`).map(({ id, guests }) => [id, ...guests])
  assert.deepEqual(chains, [
    ['o', 'a', 'c'],
    ['o-2', 'b', 'c', 'd'],
  ])
})

test('order: kinds', () => {
  const modes = (attributes: string) =>
    rulesOf(`<rsc_order id="o" first="a" then="b" ${attributes}/>`).map((rule) => rule.kind === 'order' && rule.mode)
  assert.deepEqual(modes(''), ['required'])
  assert.deepEqual(modes('kind="Mandatory"'), ['required'])
  assert.deepEqual(modes('kind="Optional"'), ['optional'])
  assert.deepEqual(modes('score="0"'), ['optional'])
  assert.deepEqual(modes('kind="Serialize"'), [])
  assert.deepEqual(modes('first-action="promote"'), [])
})

test('location: scores on one host add up, and only their order counts', () => {
  const location = (id: string, node: string, score: string) =>
    `<rsc_location id="${id}" rsc="a" node="${node}" score="${score}"/>`
  const both = [location('l1', 'n1', '50'), location('l2', 'n2', '100'), location('l3', 'n1', '100')]
  const hosts = [
    { host: 'n1', priority: 1 },
    { host: 'n2', priority: 0 },
  ]
  assert.deepEqual(rulesOf(both.join('')), [
    { id: 'l1', comment: 'from l1, l2, l3', kind: 'hosts', guests: ['a'], hosts, strict: false },
  ])
  // Rather not n3: all others come before it.
  const away = [
    { host: 'n1', priority: 0 },
    { host: 'n2', priority: 0 },
  ]
  assert.deepEqual(rulesOf(location('l', 'n3', '-10')).map(without), [
    { kind: 'hosts', guests: ['a'], hosts: away, strict: false },
  ])
  assert.deepEqual(rulesOf(location('l', 'n3', '-INFINITY') + location('k', 'n3', 'INFINITY'))[0]?.kind, 'ban')
})

test('location: in an opt-in cluster the hosts named are the only ones', () => {
  const constraints =
    '<rsc_location id="l" rsc="a" node="n1" score="0"/><rsc_location id="l2" rsc="a" node="n2" score="5"/>'
  const result = imported(cib({ resources: vms('a', 'b'), constraints, options: { 'symmetric-cluster': 'false' } }))
  const hosts = [
    { host: 'n1', priority: 0 },
    { host: 'n2', priority: 1 },
  ]
  assert.deepEqual(
    result.file.rules.map((rule) => rule.kind === 'hosts' && [rule.hosts, rule.strict]),
    [[hosts, true]],
  )
  assert.deepEqual(
    result.file.guests.map(({ ha }) => ha),
    [undefined, 'stopped'],
  )
  assert.match(whyLeftOut(result, 'a guest without a host') ?? '', /no constraint lets it run anywhere/)
})

test('failback is off exactly where staying weighs at least as much as the wish', () => {
  const failback = (stickiness: string, score: string) =>
    imported(
      cib({
        resources: vm('a', meta('resource-stickiness', stickiness)),
        constraints: `<rsc_location id="l" rsc="a" node="n1" score="${score}"/>`,
      }),
    ).file.guests[0]?.failback
  assert.equal(failback('99', '100'), undefined)
  assert.equal(failback('100', '100'), false)
  assert.equal(failback('100', 'INFINITY'), undefined)
  assert.equal(failback('INFINITY', 'INFINITY'), false)
})

test('defaults, groups and templates give what a primitive does not say itself', () => {
  const resources = `<template id="t" class="ocf" type="x">${meta('priority', '3')}</template>
    <group id="g">${meta('priority', '2')}<primitive id="a" class="ocf" type="x"/><primitive id="b" template="t"/></group>${vm('c')}`
  const more = `<rsc_defaults>${meta('priority', '1')}</rsc_defaults>`
  assert.deepEqual(
    imported(cib({ resources, more })).file.guests.map(({ priority }) => priority),
    [2, 3, 1],
  )
})

test('a constraint on a tag or a template is about all that it stands for', () => {
  const resources = `<template id="t" class="ocf" type="x"/><primitive id="a" template="t"/><primitive id="b" template="t"/>${vm('c')}`
  const constraints =
    '<rsc_order id="o" first="t" then="c"/><rsc_location id="l" rsc="mine" node="n1" score="-INFINITY"/>'
  const more = `<tags><tag id="mine"><obj_ref id="b"/><obj_ref id="c"/></tag></tags>`
  assert.deepEqual(
    imported(cib({ resources, constraints, more })).file.rules.map(({ kind, guests }) => [kind, ...guests]),
    [
      ['ban', 'b'],
      ['ban', 'c'],
      ['order', 'a', 'c'],
      ['order', 'b', 'c'],
    ],
  )
})

test('maintenance: of the cluster disarms it, of a node frees what runs there', () => {
  const nodes = `<node id="1" uname="n1"><instance_attributes id="i"><nvpair id="i1" name="maintenance" value="true"/></instance_attributes></node>`
  const lrm =
    '<lrm id="1"><lrm_resources><lrm_resource id="a"><lrm_rsc_op id="x" operation="start" call-id="1" rc-code="0"/></lrm_resource></lrm_resources></lrm>'
  const text = cib({ nodes, resources: vms('a', 'b'), options: { 'maintenance-mode': 'true' } })
  const { file } = imported(
    text.replace(
      '<status/>',
      `<status><node_state id="1" uname="n1" in_ccm="true" crmd="online">${lrm}</node_state></status>`,
    ),
  )
  assert.equal(file.policy?.armed, false)
  assert.deepEqual(
    file.guests.map(({ ha }) => ha),
    ['ignored', undefined],
  )
})

test('of rules that contradict each other the later ones are left out, with the proof', () => {
  const together = '<rsc_colocation id="near" rsc="a" with-rsc="b" score="INFINITY"/>'
  const apart = '<rsc_colocation id="far" rsc="a" with-rsc="b" score="-INFINITY"/>'
  const result = imported(cib({ resources: vms('a', 'b'), constraints: together + apart }))
  assert.deepEqual(
    result.file.rules.map(({ id }) => id),
    ['near'],
  )
  assert.match(whyLeftOut(result, 'rule far') ?? '', /b and a must be together \(rule near\) and apart \(rule far\)/)
})

test('what is not known is left out and said, and the rest is imported', () => {
  const resources = `${vm('a')}<bundle id="bun"><primitive id="inner" class="ocf" type="x"/></bundle><thing id="odd"/>`
  const constraints =
    '<rsc_wish id="w"/><rsc_order id="o" first="a" then="inner"/><rsc_location id="l" rsc="a" node="n9" score="1"/><rsc_location id="l2" rsc-pattern="^v" node="n1" score="1"/>'
  const result = imported(cib({ resources, constraints, more: '<alerts><alert id="al"/></alerts>' }))
  assert.deepEqual(
    result.file.guests.map(({ name }) => name),
    ['a'],
  )
  for (const what of ['bundle', 'thing', 'wish', 'order', 'location', 'alerts'])
    assert.ok(whyLeftOut(result, what), what)
  assert.equal(whyLeftOut(result, 'order'), 'inner was left out')
})

test('what is no CIB is refused', () => {
  const refusal = (text: string) => {
    const result = importPacemakerCib(text)
    return result.ok ? 'taken' : result.error.message
  }
  assert.equal(refusal('<html><configuration/></html>'), 'This is no Pacemaker CIB: its first element is <html>')
  assert.match(refusal(cib({}).replace('</nodes>', '')), /^The XML is not valid: line 2: /)
  assert.match(refusal(cib({ nodes: '' })), /hosts: must have a host/)
  const huge = `<utilization id="u"><nvpair id="u1" name="memory" value="999999999999"/></utilization>`
  assert.match(refusal(cib({ resources: vm('a', huge) })), /guests\[0\]\.memoryBytes: must be a whole number above 0/)
})

test('more primitives than a cluster file has guests are refused by their number', () => {
  const result = importPacemakerCib(cib({ resources: '<primitive id="p"/>'.repeat(100_001) }))
  assert.equal(!result.ok && result.error.message, 'The CIB has 100,001 primitives, at most 100,000 are taken')
})

test('orders that go in circles without end are refused with the first', () => {
  const ids = Array.from({ length: 60 }, (_, index) => `p${index}`)
  const circle = (one: string, other: string) =>
    `<rsc_order id="${one}-x" first="${one}" then="${other}"/><rsc_order id="${other}-x" first="${other}" then="${one}"/>`
  const constraints = ids.flatMap((id, index) => (index % 2 === 0 ? circle(id, `p${index + 1}`) : [])).join('')
  const result = importPacemakerCib(cib({ resources: vms(...ids), constraints }))
  assert.match(result.ok ? '' : result.error.message, /^The rules contradict each other: the order goes in a circle: /)
  const few = imported(cib({ resources: vms('a', 'b', 'c'), constraints: circle('a', 'b') }))
  assert.deepEqual(
    few.file.rules.map(({ id }) => id),
    ['a-x'],
  )
})

test('a damaged CIB is imported or refused, whatever is damaged', () => {
  const text = fixture('two-nodes.xml')
  const place = fc.nat(text.length)
  fc.assert(
    fc.property(place, place, fc.constantFrom('', '"', '<', 'INFINITY', '<node/>'), (one, other, put) => {
      const damaged = text.slice(0, Math.min(one, other)) + put + text.slice(Math.max(one, other))
      const result = importPacemakerCib(damaged)
      assert.ok(result.ok || result.error.code === 'bad_request')
    }),
    { numRuns: 200 },
  )
  // Well-formed all the same, so that it gets further than the reader of XML.
  const values = [...text.matchAll(/="([^"]*)"/g)].map((match) => [match.index + 2, match[1] ?? ''] as const)
  fc.assert(
    fc.property(
      fc.constantFrom(...values),
      fc.constantFrom(...values.map(([, value]) => value), '', '-1', 'NaN'),
      ([at, old], value) => {
        const result = importPacemakerCib(text.slice(0, at) + value + text.slice(at + old.length))
        assert.ok(result.ok || result.error.code === 'bad_request')
      },
    ),
    { numRuns: 300 },
  )
})
