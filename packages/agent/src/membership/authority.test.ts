import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AUTHORITY_PHASES } from '@stead/core/model/authority-change.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS, SECRET_KEYS } from '@stead/core/model/keys.ts'
import { isCertificateOf } from '../trust/certificate-reading.ts'
import { NO_VAULT, readAuthority, readMaterial } from '../trust/trust-files.ts'
import { AuthorityWorld, type AuthorityHost } from './authority-fixture.ts'
import { invitationKey } from './join-token.ts'

async function inWorld(seed: number, run: (world: AuthorityWorld) => Promise<void>): Promise<void> {
  const world = await AuthorityWorld.start(seed)
  try {
    await run(world)
  } finally {
    world.close()
  }
}

async function begin(world: AuthorityWorld, id = 'h1'): Promise<string> {
  const begun = await (world.host(id).replacement as NonNullable<AuthorityHost['replacement']>).begin()
  assert.ok(begun.ok, JSON.stringify(begun))
  return begun.value.replacement?.fingerprint ?? ''
}

/** Files, processes and keys are those of the new authority alone, on each host. */
function assertReplaced(world: AuthorityWorld, former: string, next: string): void {
  assert.notEqual(former, next)
  for (const host of world.hosts.values()) {
    assert.deepEqual(host.authorities, [next], host.id)
    const { ca, cert } = readMaterial(host.stateDir)
    assert.equal(host.agent?.material.ca, ca)
    if (host.believed !== undefined) assert.equal(host.believed, ca)
    assert.ok(isCertificateOf(host.id, cert, ca, () => false))
    assert.equal(readAuthority(host.stateDir, NO_VAULT).ok, host.id !== 'w')
  }
}

test('every process of every host believes every host at every moment, and the former authority at the end no more', async () => {
  await inWorld(1, async (world) => {
    const [former = ''] = world.host('h1').authorities
    const old = readMaterial(world.host('h2').stateDir).cert
    const next = await begin(world)
    await world.until('it is replaced', async () => (await world.phase()) === undefined)
    await world.pass(2_000)
    assert.deepEqual(world.distrust, [])
    assert.deepEqual(world.silences, [], 'somebody always answers')
    assertReplaced(world, former, next)
    for (const { stateDir } of world.hosts.values())
      assert.ok(!isCertificateOf('h2', old, readMaterial(stateDir).ca, () => false))
    const left = await world.store.get(SECRET_KEYS.nextAuthority)
    assert.ok(left.ok && left.value === undefined)
  })
})

test('agents that die at any moment, and other coordinators, only delay it', async () => {
  for (let seed = 1; seed <= 10; seed++)
    await inWorld(seed, async (world) => {
      const [former = ''] = world.host('h1').authorities
      const next = await begin(world, world.random.pick(['h1', 'h2', 'h4']))
      for (let blows = 0; blows < 12 && (await world.phase()) !== undefined; blows++) {
        await world.pass(world.random.between(0, 1_500))
        world.host(world.random.pick(['h1', 'h2', 'w', 'h4'])).restartAgent()
        if (world.random.fraction() < 0.3) await world.coordinate(world.random.pick(['h1', 'h2', 'h4']))
      }
      await world.until('it is replaced', async () => (await world.phase()) === undefined)
      await world.pass(5_000)
      assert.deepEqual(world.distrust, [], `seed ${seed}`)
      assertReplaced(world, former, next)
    })
})

test('a host that is down holds it, in whatever phase, and is told of; when it is back it goes on', async () => {
  for (const phase of AUTHORITY_PHASES)
    await inWorld(3, async (world) => {
      const [former = ''] = world.host('h1').authorities
      const next = await begin(world)
      await world.until(phase, async () => (await world.phase()) === phase)
      await world.powerOff('h2')
      await world.pass(60_000)
      assert.equal(await world.phase(), phase)
      const shown = world.host('h1').replacement?.show()
      assert.ok(shown?.ok)
      assert.ok(shown.value.replacement?.waitsFor.includes('h2'))
      assert.deepEqual(shown.value.down, ['h2'])
      await world.powerOn('h2')
      await world.until('it is replaced', async () => (await world.phase()) === undefined)
      await world.pass(3_000)
      assert.deepEqual(world.distrust, [], `down while ${phase}`)
      assertReplaced(world, former, next)
    })
})

test('it is not begun twice, nor while a host has shown no certificate; invitations are void', async () => {
  await inWorld(4, async (world) => {
    const { replacement } = world.host('h1')
    await world.write({ kind: 'delete', key: KEYS.host('h4' as HostId) })
    await world.pass(300)
    const refused = await replacement?.begin()
    assert.ok(refused && !refused.ok && refused.error.message.includes('h4'))
    world.host('h4').restartAgent()
    await world.pass(2_000)
    await world.put(invitationKey('s'), { role: 'compute', expiresAt: 1 })
    await begin(world)
    const invited = await world.store.get(invitationKey('s'))
    assert.ok(invited.ok && invited.value === undefined)
    const second = await world.host('h2').replacement?.begin()
    assert.ok(second && !second.ok && second.error.code === 'conflict')
  })
})
