/** The guardian's own client of the store, on three real etcd members. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { realClock as clock } from '../real-clock.ts'
import { EtcdTestbed, silentLog as log } from '../store/etcd-testbed.ts'
import { LeaseGateway } from './lease-gateway.ts'

suite('lease gateway', { timeout: 120_000 }, () => {
  let bed: EtcdTestbed
  let gateway: LeaseGateway
  before(async () => (bed = await EtcdTestbed.start()))
  after(async () => {
    await gateway?.close()
    await bed.stop()
  })

  function connect(addresses = bed.members.map((member) => member.address)): LeaseGateway {
    return new LeaseGateway({ endpoints: addresses, callTimeoutMs: 400, totalTimeoutMs: 3_000, clock, log })
  }

  test('a lease is granted, kept, bound to a key that can be read, and told when it is gone', async () => {
    gateway = connect()
    const lease = await gateway.grantLease(3_000)
    assert(lease.ok)
    const written = await gateway.transact({
      compares: [],
      writes: [{ kind: 'put', key: '/lease/h1', value: '{"bootId":"ä"}', lease: lease.value }],
    })
    assert(written.ok && written.value.committed)
    const found = await gateway.get('/lease/h1')
    assert(found.ok)
    assert.equal(found.value?.value, '{"bootId":"ä"}')
    const kept = await gateway.keepLease(lease.value)
    assert(kept.ok)
    assert.equal(kept.value, 3_000)
    const unknown = await gateway.keepLease(4711n)
    assert(unknown.ok)
    assert.equal(unknown.value, 0)
    const nothing = await gateway.get('/lease/none')
    assert(nothing.ok)
    assert.equal(nothing.value, undefined)
  })

  test('a put under a lease that is gone is refused', async () => {
    const written = await gateway.transact({
      compares: [],
      writes: [{ kind: 'put', key: '/lease/h1', value: 'x', lease: 4711n }],
    })
    assert(!written.ok)
    assert.equal(written.error.code, 'not_found')
  })

  test('a frozen member is left for another one, and not asked first the next time', async () => {
    const [first] = bed.members
    assert(first)
    const lease = await gateway.grantLease(10_000)
    assert(lease.ok)
    first.freeze()
    try {
      const kept = await gateway.keepLease(lease.value)
      assert(kept.ok, 'the others serve it')
      assert.equal(kept.value, 10_000)
    } finally {
      first.thaw()
    }
  })

  test('without a quorum nothing is promised', async () => {
    const lease = await gateway.grantLease(10_000)
    assert(lease.ok)
    const [, second, third] = bed.members
    assert(second && third)
    await Promise.all([second.kill(), third.kill()])
    const found = await gateway.get('/lease/h1')
    assert(!found.ok, 'a linearizable read needs a quorum')
    assert.equal(found.error.code, 'no_quorum')
    await bed.restore()
    const again = await gateway.keepLease(lease.value)
    assert(again.ok)
  })
})
