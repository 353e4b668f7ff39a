/** Bonds by the very code that makes them on a host, on Debian's kernel in a machine of its own: docs/internals/bonds.md. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { bondChanges, type Bond, type BondState } from '@stead/core/network/bond-plan.ts'
import { realClock } from '../real-clock.ts'
import { BondGuest, GATEWAY } from './bond-guest-fixture.ts'
import { bondStates, makeBond, planOn, plainPorts, type NetworkShell } from './bond-maker.ts'

const BOND: Bond = {
  ...{ name: 'bond0', ports: ['eth1', 'eth0'], mode: 'active-backup', miimonMs: 100 },
  ...{ lacpRate: 'fast', hashPolicy: 'layer3+4', addresses: [], routes: [] },
}
const ADDRESS = '10.0.2.15/24'
const PROOF = { peers: [], withinMs: 20_000, clock: realClock }

suite('a bond of two cards', { timeout: 300_000 }, () => {
  let guest: BondGuest
  before(async () => {
    guest = await BondGuest.boot()
    const set = [
      'link set eth0 up',
      'link set eth1 up',
      `address add ${ADDRESS} dev eth0`,
      `route add default via ${GATEWAY}`,
    ]
    for (const order of set) await guest.must(`/stead/ip ${order}`)
  })
  after(() => guest?.end())

  async function made(bond: Bond, shell: NetworkShell = guest.shell) {
    const plan = await planOn(guest.shell, bond)
    assert.ok(plan.ok, JSON.stringify(plan))
    assert.deepEqual(plan.value.findings, [])
    return { plan: plan.value, done: await makeBond(shell, plan.value, PROOF) }
  }

  async function port(name: string) {
    const ports = await plainPorts(guest.shell)
    assert.ok(ports.ok)
    return ports.value.find((each) => each.name === name)
  }

  const addressesOf = async (name: string) => (await port(name))?.addresses.map(({ address }) => address)

  async function untilStates(wanted: string): Promise<BondState[]> {
    const deadline = performance.now() + 20_000
    for (;;) {
      const states = await bondStates(guest.shell)
      assert.ok(states.ok)
      const told = states.value.flatMap(({ ports }) => ports.map(({ name, isUp }) => `${name} ${isUp ? 'up' : 'down'}`))
      if (told.toSorted().join() === wanted) return [...states.value]
      assert.ok(performance.now() < deadline, `${told.join()} is not ${wanted}`)
      await realClock.sleep(100)
    }
  }

  test('the address and the route that lead to the administrator go over to it', async () => {
    assert.ok(await guest.shell.answers(GATEWAY))
    const { plan, done } = await made(BOND)
    assert.ok(done.ok, JSON.stringify(done))
    assert.deepEqual([await addressesOf('bond0'), await addressesOf('eth0')], [[ADDRESS], []])
    assert.deepEqual((await port('bond0'))?.routes, [{ to: 'default', via: GATEWAY }])
    assert.equal(
      await guest.must('cat /sys/class/net/bond0/address'),
      '52:54:00:00:00:01',
      'of the card that had the address',
    )
    assert.ok(await guest.shell.answers(GATEWAY))
    // What is kept makes the same again, and changes nothing where it is so.
    assert.deepEqual(plan.bond, { ...BOND, addresses: [ADDRESS], routes: [{ to: 'default', via: GATEWAY }] })
    const again = await planOn(guest.shell, plan.bond)
    assert.deepEqual(again.ok && again.value.orders, [])
  })

  test('it goes on over the card that is left, and the loss and the return are told', async () => {
    const whole = await untilStates('eth0 up,eth1 up')
    await guest.cable(0, false)
    const half = await untilStates('eth0 down,eth1 up')
    assert.ok(await guest.shell.answers(GATEWAY))
    assert.deepEqual(
      bondChanges('h1', whole, half).map(({ kind, message }) => [kind, message]),
      [['bond.degraded', 'eth0 of bond0 of h1 has no link: 1 of 2 ports carry']],
    )
    await guest.cable(0, true)
    await untilStates('eth0 up,eth1 up')
    await guest.cable(1, false)
    await untilStates('eth0 up,eth1 down')
    assert.ok(await guest.shell.answers(GATEWAY))
    await guest.cable(1, true)
    const back = await untilStates('eth0 up,eth1 up')
    assert.deepEqual(
      bondChanges('h1', half, back).map(({ kind }) => kind),
      ['bond.restored'],
    )
  })

  test('a boot finds the ports as the system sets them up, and makes the bond again', async () => {
    const { plan } = await made({ ...BOND, addresses: [ADDRESS] })
    assert.deepEqual(plan.orders, [])
    for (const order of ['link del bond0', 'link set eth0 up', `address add ${ADDRESS} dev eth0`])
      await guest.must(`/stead/ip ${order}`)
    const kept: Bond = { ...BOND, addresses: [ADDRESS], routes: [{ to: 'default', via: GATEWAY }] }
    const { done } = await made(kept)
    assert.ok(done.ok, JSON.stringify(done))
    assert.deepEqual(await addressesOf('bond0'), [ADDRESS])
    assert.ok(await guest.shell.answers(GATEWAY))
  })

  test('who answered before and does not afterwards has everything taken back', async () => {
    for (const order of [
      'link del bond0',
      'link set eth0 up',
      'link set eth1 up',
      `address add ${ADDRESS} dev eth0`,
      `route add default via ${GATEWAY}`,
    ])
      await guest.must(`/stead/ip ${order}`)
    const cutting: NetworkShell = {
      ...guest.shell,
      ip: async (args, input) => {
        // As where the switch does not take the mode.
        if (input?.includes('link add')) for (const card of [0, 1] as const) await guest.cable(card, false)
        return guest.shell.ip(args, input)
      },
    }
    const plan = await planOn(guest.shell, BOND)
    assert.ok(plan.ok)
    const done = await makeBond(cutting, plan.value, { ...PROOF, withinMs: 3_000 })
    assert.match(done.ok ? '' : done.error.message, /10\.0\.2\.2 did not answer through bond0 within 3 s/)
    for (const card of [0, 1] as const) await guest.cable(card, true)
    assert.equal(await port('bond0'), undefined)
    assert.deepEqual(await addressesOf('eth0'), [ADDRESS])
    assert.deepEqual((await port('eth0'))?.routes, [{ to: 'default', via: GATEWAY }])
    assert.ok(await guest.shell.answers(GATEWAY))
  })

  test('orders that the kernel refuses are taken back too', async () => {
    const plan = await planOn(guest.shell, BOND)
    assert.ok(plan.ok)
    const wrong = { ...plan.value, orders: [...plan.value.orders, 'address add 999.1.1.1/24 dev bond0'] }
    const done = await makeBond(guest.shell, wrong, PROOF)
    assert.match(done.ok ? '' : done.error.message, /The bond bond0 was not made.*999/s)
    assert.deepEqual(await addressesOf('eth0'), [ADDRESS])
    assert.ok(await guest.shell.answers(GATEWAY))
  })

  test('the kernel knows every mode as it is asked for', async () => {
    for (const [mode, expected] of [
      ['802.3ad', /mode 802\.3ad .*layer3\+4 .*lacp_rate fast/],
      ['balance-xor', /mode balance-xor .*layer3\+4/],
    ] as const) {
      const { plan, done } = await made({ ...BOND, mode })
      assert.ok(done.ok, JSON.stringify(done))
      assert.match(await guest.must('/stead/ip -d link show bond0'), expected)
      await guest.shell.ip(['-force', '-batch', '-'], `${plan.undo.join('\n')}\n`)
      assert.deepEqual(await addressesOf('eth0'), [ADDRESS])
    }
  })
})
