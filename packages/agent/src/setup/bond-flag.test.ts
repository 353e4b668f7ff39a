import assert from 'node:assert/strict'
import { test } from 'node:test'
import { joinAnswersSchema, type SetupPort } from '@stead/api/endpoints/set-up.ts'
import { planBond, type Bond, type PlainPort } from '@stead/core/network/bond-plan.ts'
import { addressOfBond, readBond } from './bond-flag.ts'
import { bondChecks, portsWithBonds } from './bond-steps.ts'

function bonds(...texts: readonly string[]) {
  return texts.map((text) => {
    const read = readBond(text)
    assert.ok(read.ok, text)
    return read.value
  })
}
const answers = (bond: unknown) =>
  joinAnswersSchema.safeParse({ kind: 'join', host: 'h1', token: 'x', addresses: { lan: '192.0.2.1' }, bonds: [bond] })

test('a bond is one word, and what is left out has its usual value', () => {
  const [short, long] = bonds(
    'lan0=eno1+eno2',
    'san0=ens1f0+ens1f1+ens1f2,mode=802.3ad,miimon=50,lacp-rate=slow,hash=layer2+3,address=10.0.1.1/24',
  )
  const [given, full] = [answers(short), answers(long)]
  assert.deepEqual(given.data?.bonds, [
    {
      ...{ name: 'lan0', ports: ['eno1', 'eno2'], mode: 'active-backup', miimonMs: 100, lacpRate: 'fast' },
      ...{ hashPolicy: 'layer3+4', addresses: [] },
    },
  ])
  assert.deepEqual(full.data?.bonds[0], long)
})

test('bad words are refused', () => {
  for (const text of ['lan0', '=eno1+eno2', 'lan0=', 'lan0=eno1+eno2,speed=9', 'lan0=eno1+eno2,mode'])
    assert.equal(readBond(text).ok, false, text)
  const good = bonds('lan0=eno1+eno2')[0]
  for (const wrong of [
    { ports: ['eno1'] },
    { mode: 'balance-rr' },
    { miimonMs: 0 },
    // Orders to `ip` are lines of words.
    { name: 'lan0\nlink del eno1' },
    { ports: ['eno1', 'eno2 down'] },
    { ports: ['eno1', '-batch'] },
    { addresses: ['192.0.2.1'] },
  ])
    assert.equal(answers({ ...good, ...wrong }).success, false, JSON.stringify(wrong))
})

test('a role may name a bond: its own address, or that of the port which brings one', () => {
  const made = bonds('lan0=eno1+eno2', 'san0=ens1+ens2,address=10.0.1.1/24')
  const of = (port: string) => (port === 'eno2' ? '192.0.2.1' : undefined)
  assert.equal(addressOfBond(made, 'lan0', of), '192.0.2.1')
  assert.equal(addressOfBond(made, 'san0', of), '10.0.1.1')
  assert.equal(addressOfBond(made, 'eno2', of), undefined)
})

const WANTED: Bond = {
  ...{ name: 'lan0', ports: ['eno1', 'eno2'], mode: '802.3ad', miimonMs: 100, lacpRate: 'fast' },
  ...{ hashPolicy: 'layer3+4', addresses: [], routes: [] },
}
const plain = (name: string, address?: string): PlainPort => ({
  ...{ name, kind: 'card', hasLink: true, mtuBytes: 1_500, routes: [] },
  addresses: address === undefined ? [] : [{ address, leased: false }],
})

test('the checks see the host as it will be', () => {
  const plan = planBond(WANTED, [plain('eno1', '192.0.2.1/24'), plain('eno2')])
  const port = (name: string, speedMbits: number | null, addresses: string[]): SetupPort => ({
    ...{ name, kind: 'ethernet', up: true, speedMbits, mtu: 1_500, mac: '', addresses, members: [] },
  })
  const seen = portsWithBonds([port('eno1', 1_000, ['192.0.2.1/24']), port('eno2', null, [])], [plan])
  assert.deepEqual(
    seen.map(({ name, addresses, speedMbits, members }) => [name, addresses, speedMbits, members]),
    [
      ['lan0', ['192.0.2.1/24'], 1_000, ['eno1', 'eno2']],
      ['eno1', [], 1_000, []],
      ['eno2', [], null, []],
    ],
  )
  const [check] = bondChecks([plan])
  assert.equal(check?.text, 'eno1 and eno2 become lan0 (802.3ad), which has 192.0.2.1/24')
  const twice = bondChecks([
    plan,
    planBond({ ...WANTED, name: 'san0', ports: ['eno2', 'eno3'] }, [plain('eno2'), plain('eno3')]),
  ])
  assert.match(twice.at(-1)?.text ?? '', /eno2 is named twice/)
  assert.equal(twice.at(-1)?.final, true)
})
