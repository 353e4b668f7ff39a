import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { GuestId, HostId } from '../model/ids.ts'
import type { PlanningProblem } from './problem.ts'
import { aGuest, aHost, apart, aProblem, banned, GIB, onHosts, together } from './planning-fixture.ts'
import { placeGuests, type Placement } from './place.ts'

const places = (problem: PlanningProblem) => Object.fromEntries(placeGuests(problem).places)
const [H1, H2, H3] = [aHost('h1'), aHost('h2'), aHost('h3')]

/** Host -> what `explain` says against it. */
function rejections(placement: Placement, guest: string): Record<string, string> {
  const candidates = placement.explain(guest as GuestId)
  return Object.fromEntries(candidates.map(({ host, rejectedBecause }) => [host, rejectedBecause]))
}

describe('placing guests', () => {
  it('leaves alone what needs no place', () => {
    const placement = placeGuests(
      aProblem([H1, H2], [aGuest('web', { at: 'h1' }), aGuest('off', { needsPlace: false })]),
    )
    assert.equal(placement.places.size, 0)
    assert.deepEqual(placement.unplaced, [])
  })

  it('spreads guests so that the hosts are filled evenly', () => {
    assert.deepEqual(
      places(aProblem([H1, H2, H3], [aGuest('a', { at: 'h1' }), aGuest('b', { at: 'h3' }), aGuest('c')])),
      {
        c: 'h2',
      },
    )
  })

  it('evens out processors as well as memory', () => {
    const guests = [
      aGuest('busy', { at: 'h1', cpus: 12 }),
      aGuest('big', { at: 'h2' }),
      aGuest('c', { cpus: 4, memoryBytes: GIB }),
    ]
    assert.deepEqual(places(aProblem([H1, H2], guests)), { c: 'h2' })
  })

  it('takes the asked-for host of the highest priority that is available', () => {
    const guests = [aGuest('web'), aGuest('full', { at: 'h3', memoryBytes: 16 * GIB })]
    assert.deepEqual(places(aProblem([H1, H2, H3], guests, [onHosts('home', ['web'], ['h3', 'h2', 'h1'])])), {
      web: 'h2',
    })
  })

  it('prefers a host without a failure to the one that was asked for', () => {
    const failed = aGuest('web', { failedOn: ['h1' as HostId] })
    assert.deepEqual(places(aProblem([H1, H2], [failed], [onHosts('home', ['web'], ['h1'])])), { web: 'h2' })
    assert.deepEqual(places(aProblem([H1], [failed])), { web: 'h1' }, 'but takes it when there is no other')
  })

  it('keeps a guest near its disks rather than the hosts even', () => {
    const guests = [aGuest('a', { at: 'h1' }), aGuest('web', { near: ['h1' as HostId] })]
    assert.deepEqual(places(aProblem([H1, H2], guests)), { web: 'h1' })
  })

  it('places what is more important first when there is no room for all', () => {
    const guests = [aGuest('test', { memoryBytes: 12 * GIB }), aGuest('shop', { memoryBytes: 12 * GIB, priority: 10 })]
    const placement = placeGuests(aProblem([H1], guests))
    assert.deepEqual(Object.fromEntries(placement.places), { shop: 'h1' })
    assert.deepEqual(placement.unplaced, ['test'])
  })

  it('gives the small ones of higher priority another host when a big one fits nowhere else', () => {
    const guests = [
      aGuest('a', { priority: 5, memoryBytes: 6 * GIB }),
      aGuest('b', { priority: 5, memoryBytes: 6 * GIB }),
      aGuest('big', { memoryBytes: 16 * GIB }),
    ]
    assert.equal(placeGuests(aProblem([H1, H2], guests)).places.size, 3)
  })

  it('finds a packing that needs several to make way', () => {
    const sizes = [9, 8, 7, 6, 5, 5, 4, 4]
    const guests = sizes.map((size, index) => aGuest(`g${index}`, { memoryBytes: size * GIB, priority: index }))
    assert.equal(placeGuests(aProblem([H1, H2, H3], guests)).places.size, sizes.length)
  })

  it('never moves a guest that runs well', () => {
    const guests = [aGuest('a', { at: 'h1' }), aGuest('b', { at: 'h2' }), aGuest('big', { memoryBytes: 16 * GIB })]
    const placement = placeGuests(aProblem([H1, H2], guests))
    assert.deepEqual(placement.unplaced, ['big'])
  })

  it('keeps devices and fractions of processors within what a host has', () => {
    const card = aHost('h1', { devices: { 'gpu/l4': 1 }, cpus: 0.3 })
    const guests = ['a', 'b', 'c'].map((name) => aGuest(name, { cpus: 0.1, memoryBytes: GIB }))
    assert.equal(placeGuests(aProblem([card], guests)).places.size, 3)
    const wanting = ['a', 'b'].map((name) => aGuest(name, { cpus: 0.1, devices: { 'gpu/l4': 1 } }))
    const placement = placeGuests(aProblem([card, H2], wanting))
    assert.deepEqual(Object.fromEntries(placement.places), { a: 'h1' })
    assert.deepEqual(rejections(placement, 'b'), { h1: 'it has no gpu/l4 free', h2: 'it has no gpu/l4 free' })
  })
})

describe('strict rules', () => {
  it('place guests of one group on one host, however they are chained', () => {
    const rules = [together('t1', ['a', 'b']), together('t2', ['b', 'c'])]
    const placed = places(
      aProblem([aHost('h1', { memoryBytes: 8 * GIB }), H2], [aGuest('a'), aGuest('b'), aGuest('c')], rules),
    )
    assert.deepEqual(placed, { a: 'h2', b: 'h2', c: 'h2' })
  })

  it('place a guest where the others of its group run, or not at all', () => {
    const guests = [aGuest('db', { at: 'h1', memoryBytes: 14 * GIB }), aGuest('web')]
    const placement = placeGuests(aProblem([H1, H2], guests, [together('close', ['db', 'web'])]))
    assert.deepEqual(placement.unplaced, ['web'])
    assert.deepEqual(rejections(placement, 'web'), {
      h1: 'it has 2048 MiB of memory free, 4096 MiB are needed',
      h2: 'rule close keeps web together with db, which is on h1',
    })
  })

  it('place the most important of a group that fits nowhere as a whole', () => {
    const guests = [1, 2, 3].map((priority) => aGuest(`g${priority}`, { priority, memoryBytes: 7 * GIB }))
    const placement = placeGuests(aProblem([H1], guests, [together('t', ['g1', 'g2', 'g3'])]))
    assert.deepEqual(Object.fromEntries(placement.places), { g3: 'h1', g2: 'h1' })
    assert.deepEqual(placement.unplaced, ['g1'])
  })

  it('keep guests apart by host and by rack', () => {
    const racks = [
      ['h1', 'r1'],
      ['h2', 'r1'],
      ['h3', 'r2'],
    ] as const
    const hosts = racks.map(([id, rack]) => aHost(id, { faultDomains: { rack } }))
    const guests = [aGuest('web1', { at: 'h1' }), aGuest('web2')]
    const placement = placeGuests(aProblem(hosts, guests, [apart('ha', ['web1', 'web2'], { across: 'rack' })]))
    assert.equal(placement.places.get('web2' as GuestId), 'h3')
    assert.deepEqual(rejections(placement, 'web2'), {
      h3: '',
      h1: 'rule ha keeps web2 apart from web1, which is on h1 in the same rack r1',
      h2: 'rule ha keeps web2 apart from web1, which is on h1 in the same rack r1',
    })
  })

  it('take hosts without the domain as one of their own each', () => {
    const guests = [aGuest('a'), aGuest('b')]
    assert.equal(placeGuests(aProblem([H1, H2], guests, [apart('x', ['a', 'b'], { across: 'rack' })])).places.size, 2)
  })

  it('allow some hosts only, and ban others', () => {
    const rules = [onHosts('only', ['web'], ['h1', 'h2'], true), banned('never', ['web'], ['h1'])]
    const guest = aGuest('web', { impossible: { ['h2' as HostId]: 'it has no path to its disks' } })
    const placement = placeGuests(
      aProblem([H1, H2, H3, aHost('h4', { unusableBecause: 'it is in maintenance' })], [guest], rules),
    )
    assert.deepEqual(rejections(placement, 'web'), {
      h1: 'rule never keeps web off it',
      h2: 'it has no path to its disks',
      h3: 'rule only allows web only on h1, h2',
      h4: 'it is in maintenance',
    })
  })

  it('leave a guest waiting whose rules contradict each other', () => {
    const rules = [together('t', ['a', 'b']), apart('x', ['a', 'b'])]
    const placement = placeGuests(aProblem([H1, H2], [aGuest('a', { priority: 1 }), aGuest('b')], rules))
    assert.deepEqual([...placement.places.keys()], ['a'])
    assert.match(rejections(placement, 'b')['h1'] ?? '', /^rule /)
  })
})

describe('wishes', () => {
  it('keep guests apart or together where that is possible', () => {
    const guests = [aGuest('a', { at: 'h1' }), aGuest('b'), aGuest('other', { at: 'h2', memoryBytes: 8 * GIB })]
    assert.deepEqual(places(aProblem([H1, H2], guests, [apart('x', ['a', 'b'], { strict: false })])), { b: 'h2' })
    const beside = [aGuest('a', { at: 'h1', memoryBytes: 8 * GIB }), aGuest('b')]
    assert.deepEqual(places(aProblem([H1, H2], beside, [together('t', ['a', 'b'], false)])), { b: 'h1' })
    assert.deepEqual(places(aProblem([H1], guests.slice(0, 2), [apart('x', ['a', 'b'], { strict: false })])), {
      b: 'h1',
    })
  })

  it('spread a group evenly over the racks', () => {
    const hosts = [1, 2, 3, 4].map((index) => aHost(`h${index}`, { faultDomains: { rack: `r${index % 2}` } }))
    const names = ['a', 'b', 'c', 'd']
    const placed = places(
      aProblem(
        hosts,
        names.map((name) => aGuest(name)),
        [apart('x', names, { strict: false, across: 'rack' })],
      ),
    )
    const inRack1 = Object.values(placed).filter((host) => host === 'h1' || host === 'h3')
    assert.equal(inRack1.length, 2)
  })
})

describe('the reasons', () => {
  it('name what speaks for the chosen host and why others were not taken', () => {
    const guest = aGuest('web', { near: ['h2' as HostId] })
    const guests = [guest, aGuest('full', { at: 'h3', memoryBytes: 13 * GIB })]
    const candidates = placeGuests(aProblem([H1, H2, H3], guests)).explain('web' as GuestId)
    assert.deepEqual(candidates, [
      { host: 'h2', chosen: true, rejectedBecause: '', merits: ['its disks are local', '16384 MiB of memory free'] },
      {
        host: 'h1',
        chosen: false,
        rejectedBecause: 'h2 is better: its disks are local',
        merits: ['16384 MiB of memory free'],
      },
      {
        host: 'h3',
        chosen: false,
        rejectedBecause: 'it has 3072 MiB of memory free, 4096 MiB are needed',
        merits: ['3072 MiB of memory free'],
      },
    ])
  })

  it('tell evenness, failures and a draw apart', () => {
    const guests = [aGuest('a', { at: 'h2' }), aGuest('web', { failedOn: ['h3' as HostId] })]
    const placement = placeGuests(aProblem([H1, H2, H3, aHost('h4')], guests))
    assert.deepEqual(rejections(placement, 'web'), {
      h1: '',
      h4: 'h1 is as good',
      h2: 'h1 is better: all hosts are filled more evenly that way',
      h3: 'h1 is better: the guest did not fail there lately',
    })
  })
})
