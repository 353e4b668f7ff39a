import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Rule } from '../model/rule.ts'
import { canPlaceAll } from './brute-force-fixture.ts'
import { contradictionsIn } from './contradictions.ts'
import { aGuest, aHost, apart, banned, inOrder, onHosts, together } from './planning-fixture.ts'

const GUESTS = ['web1', 'web2', 'web3', 'db'].map((name) => aGuest(name))
const HOSTS = [
  aHost('h1', { faultDomains: { rack: 'r1' } }),
  aHost('h2', { faultDomains: { rack: 'r1' } }),
  aHost('h3', { faultDomains: { rack: 'r2' } }),
]
const proofs = (...rules: Rule[]) => contradictionsIn(rules, GUESTS, HOSTS).map(({ proof }) => proof)

describe('contradictions in rules', () => {
  it('are none in rules that can all be kept', () => {
    const rules = [
      together('t', ['web1', 'db']),
      apart('x', ['web1', 'web2'], { across: 'rack' }),
      onHosts('only', ['web1'], ['h1', 'h2'], true),
      banned('never', ['db'], ['h1']),
      inOrder('o1', ['db', 'web1', 'web2']),
      inOrder('o2', ['db', 'web2']),
    ]
    assert.deepEqual(proofs(...rules), [])
  })

  it('name guests, hosts and kinds of domain that do not exist', () => {
    assert.deepEqual(proofs(banned('b', ['ghost'], ['h9']), apart('x', ['web1', 'web2'], { across: 'site' })), [
      'rule b names the guest ghost, which does not exist',
      'rule b names the host h9, which does not exist',
      'rule x keeps guests apart by site, which no host has',
    ])
  })

  it('show guests that must be both together and apart, through others too', () => {
    assert.deepEqual(
      proofs(together('t1', ['web1', 'db']), together('t2', ['db', 'web2']), apart('x', ['web1', 'web2'])),
      ['web1 and web2 must be together (rules t1 and t2) and apart (rule x)'],
    )
  })

  it('show a guest for which no host is left', () => {
    assert.deepEqual(proofs(onHosts('only', ['db'], ['h1', 'h2'], true), banned('b', ['db'], ['h1', 'h2'])), [
      'no host is left for db: rule only allows only h1 and h2, and rule b bans h1 and h2',
    ])
  })

  it('show guests that must be together and have no host in common', () => {
    const rules = [
      together('t', ['web1', 'db']),
      onHosts('a', ['web1'], ['h1'], true),
      onHosts('b', ['db'], ['h2', 'h3'], true),
    ]
    assert.deepEqual(proofs(...rules), [
      'web1 and db must be together (rule t), but web1 may run only on h1 (rule a) and db may run only on h2 and h3 (rule b)',
    ])
  })

  it('show guests that are more than the domains they must be spread over', () => {
    assert.deepEqual(proofs(apart('x', ['web1', 'web2', 'web3'], { across: 'rack' })), [
      'web1, web2 and web3 must each be on another rack (rule x), but there are only r1 and r2',
    ])
    const rules = [
      apart('x', ['web1', 'web2', 'web3', 'db']),
      onHosts('few', ['web1', 'web2', 'web3'], ['h1', 'h2'], true),
    ]
    const [proof] = proofs(...rules)
    assert.match(proof ?? '', /^web1, web2 and web3 must .* but rule few leaves only h1 and h2$/)
  })

  it('show an order that goes in a circle, and by which rules', () => {
    const found = contradictionsIn(
      [inOrder('o1', ['db', 'web1']), inOrder('o2', ['web1', 'web2']), inOrder('o3', ['web3', 'web2', 'db'])],
      GUESTS,
      HOSTS,
    )
    assert.deepEqual(found, [
      {
        kind: 'order-cycle',
        rules: ['o1', 'o2', 'o3'],
        proof: 'the order goes in a circle: db before web1 before web2 before db (rules o1, o2 and o3)',
      },
    ])
  })

  it('name twenty where there are more, and count the others', () => {
    const many = Array.from({ length: 30 }, (_, index) => aGuest(`g${index}`))
    const names = many.map(({ name }) => name)
    const proofOf = (...rules: Rule[]) => contradictionsIn(rules, many, HOSTS)[0]?.proof ?? ''
    const split = [onHosts('a', ['g0'], ['h1'], true), onHosts('b', ['g1'], ['h2'], true)]
    assert.match(
      proofOf(together('t', names), ...split),
      /^g0, .*, g19 and 10 others must be together \(rule t\), but g0 may/,
    )
    assert.match(proofOf(inOrder('o', [...names, 'g0'])), /: g0 before .* before g19 before … before g0 \(rule o\)$/)
  })

  it('are looked for in chains of ten thousand rules as well', () => {
    const many = Array.from({ length: 10_000 }, (_, index) => aGuest(`g${index}`))
    const chain = many.slice(1).map(({ name }, index) => together(`t${index}`, [`g${index}`, name]))
    const bans = many.map((_, index) => banned(`b${index}`, ['g1'], ['h1']))
    assert.deepEqual(contradictionsIn([...chain, ...bans], many, HOSTS), [])
    const [found] = contradictionsIn([...chain, apart('x', ['g0', 'g9999'])], many, HOSTS)
    assert.equal(found?.kind, 'together-and-apart')
    assert.equal(found?.rules.length, 10_000)
  })

  it('leave wishes alone', () => {
    const wished = [
      together('t', ['web1', 'web2']),
      apart('x', ['web1', 'web2'], { strict: false }),
      onHosts('none', ['db'], ['h1']),
    ]
    assert.deepEqual(proofs(...wished, banned('b', ['db'], ['h1'])), [])
  })

  it('are found exactly where no places can keep the rules, as long as there is room', () => {
    const some = (names: readonly string[], min: number) =>
      fc.uniqueArray(fc.constantFrom(...names), { minLength: min, maxLength: 3 })
    const guests = some(['web1', 'web2', 'web3', 'db'], 2)
    const hosts = some(['h1', 'h2', 'h3'], 1)
    // Of each kind one: apart rules together can clash in ways that no single one shows.
    const ruleSets = fc.record({
      t: guests,
      x: guests,
      across: fc.constantFrom('host', 'rack'),
      only: hosts,
      who: guests,
      off: hosts,
      whom: guests,
    })
    fc.assert(
      fc.property(ruleSets, ({ t, x, across, only, who, off, whom }) => {
        const rules = [
          together('t', t),
          apart('x', x, { across }),
          onHosts('only', who, only, true),
          banned('off', whom, off),
        ]
        const problem = { hosts: HOSTS, guests: GUESTS.map((guest) => ({ ...guest, memoryBytes: 0, cpus: 0 })), rules }
        assert.equal(contradictionsIn(rules, GUESTS, HOSTS).length === 0, canPlaceAll(problem))
      }),
      { numRuns: 500, seed: 20_260_101 },
    )
  })
})
