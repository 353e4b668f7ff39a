import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bondChanges, planBond, type Bond, type PlainPort } from './bond-plan.ts'

const BOND: Bond = {
  ...{ name: 'lan0', ports: ['eno1', 'eno2'], mode: 'active-backup', miimonMs: 100 },
  ...{ lacpRate: 'fast', hashPolicy: 'layer3+4', addresses: [], routes: [] },
}
const port = (name: string, change: Partial<PlainPort> = {}): PlainPort => ({
  ...{ name, kind: 'card', hasLink: true, speedMbits: 10_000, mtuBytes: 9_000, addresses: [], routes: [] },
  ...change,
})
const fixed = (...addresses: string[]) => addresses.map((address) => ({ address, leased: false }))
const DEFAULT = { to: 'default', via: '192.0.2.254', metric: 100 }

test('the port that carries addresses goes first, and they and its routes go over; the undo knows them', () => {
  const ports = [port('eno1'), port('eno2', { addresses: fixed('192.0.2.1/24', '2001:db8::1/64'), routes: [DEFAULT] })]
  const { orders, undo, bond, gateways, findings } = planBond(BOND, ports)
  assert.deepEqual(findings, [])
  assert.deepEqual(orders, [
    'link add lan0 type bond mode active-backup miimon 100',
    'link set lan0 mtu 9000',
    'address del 192.0.2.1/24 dev eno2',
    'link set eno2 down',
    'link set eno2 master lan0',
    'link set eno1 down',
    'link set eno1 master lan0',
    'link set lan0 up',
    'address add 192.0.2.1/24 dev lan0 broadcast +',
    'address add 2001:db8::1/64 dev lan0 nodad',
    'route replace default via 192.0.2.254 metric 100 dev lan0',
  ])
  assert.deepEqual(undo, [
    'link del lan0',
    'link set eno2 up',
    'link set eno1 up',
    'address add 192.0.2.1/24 dev eno2 broadcast +',
    'address add 2001:db8::1/64 dev eno2 nodad',
    'route replace default via 192.0.2.254 metric 100 dev eno2',
  ])
  assert.deepEqual(bond.addresses, ['192.0.2.1/24', '2001:db8::1/64'])
  assert.deepEqual(gateways, ['192.0.2.254'])
})

test('a mode is asked for with what belongs to it', () => {
  const first = (mode: Bond['mode']) => planBond({ ...BOND, mode }, [port('eno1'), port('eno2')]).orders[0]
  assert.equal(
    first('802.3ad'),
    'link add lan0 type bond mode 802.3ad miimon 100 lacp_rate fast xmit_hash_policy layer3+4',
  )
  assert.equal(first('balance-xor'), 'link add lan0 type bond mode balance-xor miimon 100 xmit_hash_policy layer3+4')
})

test('a bond that is there is left alone; one that lacks a port is given it, and never taken away again', () => {
  const there = port('lan0', { kind: 'bond', addresses: fixed('192.0.2.1/24'), routes: [DEFAULT] })
  const members = [port('eno1', { master: 'lan0' }), port('eno2', { master: 'lan0' })]
  const whole = planBond(BOND, [there, ...members])
  assert.deepEqual([whole.orders, whole.findings], [[], []])
  assert.deepEqual(whole.bond.addresses, ['192.0.2.1/24'], 'what it has is kept for the next boot')
  assert.deepEqual(whole.bond.routes, [DEFAULT])
  const half = planBond(BOND, [there, members[0]!, port('eno2')])
  assert.deepEqual(half.orders, ['link set eno2 down', 'link set eno2 master lan0', 'link set lan0 up'])
  assert.deepEqual(half.undo, [])
})

test('after a boot the kept addresses are given to it, whether the system has set them up on a port or not', () => {
  const kept: Bond = { ...BOND, addresses: ['192.0.2.1/24'], routes: [DEFAULT] }
  for (const first of [port('eno1'), port('eno1', { addresses: fixed('192.0.2.1/24'), routes: [DEFAULT] })]) {
    const { orders, bond } = planBond(kept, [first, port('eno2')])
    assert.deepEqual(
      orders.filter((order) => order.includes('dev lan0')),
      ['address add 192.0.2.1/24 dev lan0 broadcast +', 'route replace default via 192.0.2.254 metric 100 dev lan0'],
    )
    assert.deepEqual(bond, kept)
  }
})

const findings = (ports: readonly PlainPort[], bond = BOND) =>
  planBond(bond, ports).findings.map(({ state, text }) => `${state}: ${text}`)

test('what cannot work is refused', () => {
  assert.deepEqual(findings([port('eno1')]), ['refused: this host has no port eno2'])
  assert.deepEqual(findings([port('eno1'), port('eno2', { master: 'br0' })]), ['refused: eno2 is part of br0 already'])
  assert.deepEqual(findings([port('eno1'), port('eno2', { kind: 'other' })]), [
    'refused: eno2 cannot be part of a bond',
  ])
  assert.deepEqual(findings([port('lan0'), port('eno1'), port('eno2')]), [
    'refused: lan0 is a port of another kind already',
  ])
  assert.deepEqual(findings([port('eno1', { mtuBytes: 1_500 }), port('eno2')]), [
    'refused: its ports have different MTUs: 1500, 9000',
  ])
  const taken = [port('eno1'), port('eno2'), port('eno3', { addresses: fixed('192.0.2.7/24') })]
  assert.deepEqual(findings(taken, { ...BOND, addresses: ['192.0.2.7/16'] }), [
    'refused: another port has 192.0.2.7 already',
  ])
})

test('what may be meant so is said', () => {
  const unlike = [port('eno1', { speedMbits: 1_000 }), port('eno2')]
  assert.match(findings(unlike)[0] ?? '', /^warning: .*different speeds: 1000, 10000/)
  assert.match(findings(unlike, { ...BOND, mode: '802.3ad' })[0] ?? '', /^failed: /)
  assert.deepEqual(findings([port('eno1', { hasLink: false }), port('eno2')]), ['warning: eno1 has no link'])
  assert.deepEqual(findings(['eno1', 'eno2'].map((name) => port(name, { hasLink: false }))), [
    'failed: none of its ports has a link',
  ])
  const leased = port('eno1', { addresses: [{ address: '192.0.2.5/24', leased: true }] })
  assert.match(findings([leased, port('eno2')])[0] ?? '', /^warning: the address of eno1 is a lease/)
})

test('a loss is told once, a further one again, and the return when all are back', () => {
  const state = (...down: string[]) => [
    { name: 'lan0', ports: ['eno1', 'eno2', 'eno3'].map((name) => ({ name, isUp: !down.includes(name) })) },
  ]
  const told = (before: ReturnType<typeof state> | [], now: ReturnType<typeof state>) =>
    bondChanges('h1', before, now).map(({ kind, message }) => `${kind}: ${message}`)
  assert.deepEqual(told([], state()), [])
  assert.deepEqual(told([], state('eno2')), ['bond.degraded: eno2 of lan0 of h1 has no link: 2 of 3 ports carry'])
  assert.deepEqual(told(state('eno2'), state('eno2')), [])
  assert.deepEqual(told(state('eno2'), state('eno1', 'eno2', 'eno3')), [
    'bond.degraded: eno1, eno2, eno3 of lan0 of h1 has no link: no port of it carries',
  ])
  assert.deepEqual(told(state('eno2'), state()), ['bond.restored: all ports of lan0 of h1 carry again'])
})
