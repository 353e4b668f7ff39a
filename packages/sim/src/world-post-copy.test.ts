/** A guest whose memory is on two hosts: whatever is lost then, it runs on one of them, once, with all of its disks. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KEYS } from '@stead/core/model/keys.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { CommandVerb } from './fault-commands.ts'
import { World } from './world.ts'

const LIMIT_MS = 90_000
const [h1, h2] = ['h1', 'h2'] as HostId[]

interface Playing {
  readonly world: World
  readonly until: (what: string, condition: () => boolean) => Promise<void>
  readonly act: (command: string) => void
  readonly told: (kind: string) => number
}

/** `web` runs on h2 at epoch 2, and a part of its memory is still on h1. */
async function halfThere(seed: number, body: (playing: Playing) => Promise<void>): Promise<void> {
  const world = new World({ seed, live: true, hosts: 3, guests: { web: ['h1', 'h2'] } })
  const until = async (what: string, condition: () => boolean) =>
    assert.ok(
      await world.until(condition, LIMIT_MS),
      `not within ${LIMIT_MS} ms: ${what}\n${world.log.slice(-30).join('\n')}`,
    )
  const act = (command: string) => {
    const [verb, ...args] = command.split(' ')
    world.perform({ verb: verb as CommandVerb, args })
  }
  try {
    world.changeGuest('web', { desired: 'stopped', preferredHost: h1! })
    await until('all hosts are known', () => world.hostIds.every((id) => world.record(KEYS.status(id)) !== undefined))
    act('start web')
    await until('it runs on h1', () => world.isRunning('web') && world.grant('web')?.host === h1)
    await world.clock.advance(2_000)
    act('move-post-copy web h2')
    await until('it is on both', () => world.grant('web')?.memoryOn === h1)
    await body({ world, until, act, told: (kind) => world.events().filter((event) => event.kind === kind).length })
    await until('it is protected', () => world.isProtected('web'))
    assert.deepEqual(world.checks.violations, [])
  } finally {
    world.close()
  }
}

const grantOf = ({ world }: Playing) => world.grant('web')

test('the rest of the memory follows, and then the grant says so', () =>
  halfThere(1, async (playing) => {
    await playing.until('it is whole', () => grantOf(playing)?.memoryOn === undefined)
    assert.deepEqual([grantOf(playing)?.host, grantOf(playing)?.epoch], [h2, 2])
    assert.deepEqual([playing.told('guest.migrated'), playing.told('guest.exited')], [1, 0])
  }))

for (const [what, command] of [
  ['the source loses its power', 'power-off h1'],
  ['the destination loses its power', 'power-off h2'],
  ["the source's guests are killed", 'kill-guests h1'],
  ["the destination's guests are killed", 'kill-guests h2'],
] as const)
  for (const afterMs of [0, 60, 400])
    test(`${what} ${afterMs} ms after the switch: the guest boots again on one host`, () =>
      halfThere(afterMs + 3, async (playing) => {
        const { world, until, act } = playing
        await world.clock.advance(afterMs)
        // It may have been whole already.
        const isHalf = grantOf(playing)?.memoryOn !== undefined
        act(command)
        if (isHalf || command.endsWith('h2'))
          await until('it boots at a newer epoch', () => (grantOf(playing)?.epoch ?? 0) > 2 && world.isRunning('web'))
        assert.equal(grantOf(playing)?.memoryOn, undefined)
        if (command.startsWith('power-off')) act(command.replace('off', 'on'))
      }))

for (const command of ['kill-agent h1', 'kill-agent h2'])
  test(`${command}: the next agent goes on, and the guest does not boot`, () =>
    halfThere(5, async (playing) => {
      playing.act(command)
      await playing.until('it is whole', () => grantOf(playing)?.memoryOn === undefined)
      assert.deepEqual([grantOf(playing)?.host, grantOf(playing)?.epoch], [h2, 2])
    }))

test('the way between the two is cut for a while: the guest waits for the rest and goes on', () =>
  halfThere(6, async (playing) => {
    const { world, until, act } = playing
    // Cut a moment earlier, before all that makes it run has come, it would boot.
    await until('it runs there', () => world.isRunning('web'))
    act('cut-between h1 h2 ran')
    await world.clock.advance(9_000)
    assert.equal(grantOf(playing)?.memoryOn, h1)
    act('mend h2')
    await until('it is whole', () => grantOf(playing)?.memoryOn === undefined)
    assert.deepEqual([grantOf(playing)?.host, grantOf(playing)?.epoch], [h2, 2])
  }))

test('the way stays cut: the guest is given up there, and boots', () =>
  halfThere(7, async (playing) => {
    playing.act('cut-between h1 h2 ran')
    await playing.until('it boots', () => (grantOf(playing)?.epoch ?? 0) > 2 && playing.world.isRunning('web'))
    assert.equal(grantOf(playing)?.memoryOn, undefined)
    playing.act('mend h2')
  }))

test('a store without a majority changes nothing: the record follows once it answers', () =>
  halfThere(8, async (playing) => {
    const { world, until, act } = playing
    for (const host of world.hostIds) act(`kill-member ${host}`)
    await until('it is whole', () => grantOf(playing)?.memoryOn === undefined)
    assert.equal(grantOf(playing)?.epoch, 2)
  }))
