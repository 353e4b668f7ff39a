/**
 * What every `GuestHost` must do, written once. A harness brings the implementation and a small world: two storage
 * servers `a` (local, its leg comes first) and `b`, and guests that behave in a known way.
 */
import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { GuestDisk, GuestEvent, GuestHost, GuestLaunch, Leg, RunningGuest } from '@stead/core/ports/guest-host.ts'
import type { Result } from '@stead/core/result.ts'
import { containerDevicesContract, machineDevicesContract } from './guest-devices-contract.ts'

/**
 * `write`: writes to its first disk without end. `shutdown`, `reset`: does so right after boot. `idle`: nothing. `deaf`:
 * nothing, and it gives no device back.
 */
export type GuestBehaviour = 'write' | 'shutdown' | 'reset' | 'idle' | 'deaf'

export interface GuestHostHarness {
  readonly host: GuestHost
  /** Storage for one more disk of a guest, with legs on both servers. */
  disk(slot: number): Promise<GuestDisk & { readonly slot: number }>
  /** Storage for a new guest on both servers, and a launch that uses it with the legs of `hosts`. Epoch 1. */
  guest(behaviour: GuestBehaviour, hosts?: readonly ServerName[]): Promise<GuestLaunch>
  /** A leg of the guest's first disk on that server. */
  leg(launch: GuestLaunch, server: ServerName): Leg
  /** Both servers end their exports of the guest's first disk, and serve it again with so many bytes. */
  serveLarger(launch: GuestLaunch, sizeBytes: number): Promise<void>
  killServer(server: ServerName): Promise<void>
  freezeServer(server: ServerName): Promise<void>
  startServer(server: ServerName): Promise<void>
  /** Resolves once the guest has had further writes acknowledged; rejects when it does not write within a bound. */
  untilWriting(launch: GuestLaunch): Promise<void>
  /** Ends the hypervisor's process as a crash would. */
  crash(running: RunningGuest): Promise<void>
  /** Another instance over the same processes; the old one hears and says nothing more. */
  restartAgent(): Promise<GuestHost>
  close(): Promise<void>
}
export type ServerName = 'a' | 'b'

/**
 * A container that shuts down calls sync, which waits for every file system of the machine: those of a test beside this one
 * may stand still.
 */
const EVENT_WAIT_MS = 60_000

/** What virtual machines can, and containers cannot. */
export interface GuestHostAbilities {
  /** Its system gives devices back, its disks have limits of their own, its memory grows within what it was made for. */
  readonly hasMachine: boolean
  /** A guest that resets itself goes on in the same run; otherwise that is the run's end. */
  readonly resetsInPlace: boolean
}

const OF_MACHINES: GuestHostAbilities = { hasMachine: true, resetsInPlace: true }

export function guestHostContract(
  name: string,
  make: () => Promise<GuestHostHarness>,
  { hasMachine, resetsInPlace }: GuestHostAbilities = OF_MACHINES,
): void {
  describe(`GuestHost contract: ${name}`, () => {
    let harness: GuestHostHarness
    let host: GuestHost
    let events: Recorder

    beforeEach(async () => {
      harness = await make()
      host = harness.host
      events = new Recorder(host)
    })
    afterEach(() => harness.close())

    /** A mirrored guest that lost the leg on `b` and runs on with `a`. */
    async function degraded(): Promise<GuestLaunch> {
      const launch = await harness.guest('write')
      must(await host.start(launch))
      await harness.untilWriting(launch)
      await harness.killServer('b')
      await events.next('io-error')
      must(await host.dropLeg(launch.guest, volumeOf(launch), 'b'))
      must(await host.resume(launch.guest))
      await harness.untilWriting(launch)
      return launch
    }

    it('starts a guest and tells its legs in the order of reading', async () => {
      const launch = await harness.guest('write')
      const running = must(await host.start(launch))
      assert.equal(running.epoch, 1)
      assert.ok(running.pid > 0)
      assert.deepEqual(legsOf(running, launch), ['a', 'b'])
      await harness.untilWriting(launch)
      assert.equal(must(await host.inspect(launch.guest)).status, 'running')
    })

    it('starts what was expected; what was expected in vain leaves nothing', async () => {
      const launch = await harness.guest('write')
      const expect = (epoch: number) => host.expect({ ...launch, epoch, kind: hasMachine ? 'vm' : 'ct' })
      // In vain, then at an epoch that is not the one that was expected.
      expect(1)()
      expect(1)
      const end = expect(2)
      must(await host.start({ ...launch, epoch: 2 }))
      end()
      await harness.untilWriting(launch)
      assert.equal(must(await host.inspect(launch.guest)).epoch, 2)
      must(await host.kill(launch.guest))
      // By an agent that ends before it starts it.
      expect(3)
      refused(await host.inspect(launch.guest), 'not_found')
      host = await harness.restartAgent()
      assert.deepEqual(await host.adopt(), [])
      must(await host.start({ ...launch, epoch: 4 }))
      await harness.untilWriting({ ...launch, epoch: 4 })
    })

    it('starts a guest whose replica is missing, and runs it', async () => {
      const launch = await harness.guest('write', ['b'])
      assert.deepEqual(legsOf(must(await host.start(launch)), launch), ['b'])
      await harness.untilWriting(launch)
      assert.deepEqual(events.kinds(), [])
    })

    it('does not start with a leg whose server does not answer, and leaves nothing behind', async () => {
      const launch = await harness.guest('write')
      await harness.freezeServer('b')
      refused(await host.start(launch), 'host_unreachable')
      refused(await host.inspect(launch.guest), 'not_found')
      assert.deepEqual(await host.adopt(), [])
    })

    it('kills an older epoch before it starts a newer one, and refuses to go back', async () => {
      const launch = await harness.guest('write')
      const first = must(await host.start(launch))
      const second = must(await host.start({ ...launch, epoch: 2 }))
      assert.notEqual(second.pid, first.pid)
      assert.equal((await events.next('exited')).epoch, 1)
      refused(await host.start(launch), 'stale_epoch')
      assert.equal(must(await host.inspect(launch.guest)).epoch, 2)
    })

    it('starting the same epoch twice runs it once', async () => {
      const launch = await harness.guest('idle')
      const first = must(await host.start(launch))
      assert.equal(must(await host.start(launch)).pid, first.pid)
    })

    it('kills, harmlessly more than once', async () => {
      const launch = await harness.guest('write')
      must(await host.start(launch))
      must(await host.kill(launch.guest))
      must(await host.kill(launch.guest))
      assert.equal((await events.next('exited')).cause, 'asked')
      refused(await host.inspect(launch.guest), 'not_found')
      assert.deepEqual(events.kinds(), ['exited'])
    })

    it('tells of a crash, of a shutdown and of a reset by the guest', async () => {
      const crashing = await harness.guest('write')
      await harness.crash(must(await host.start(crashing)))
      assert.equal((await events.next('exited')).cause, 'killed')

      must(await host.start(await harness.guest('shutdown')))
      const exited = await events.next('exited')
      assert.equal(exited.cause, 'guest-shutdown')
      assert.equal(exited.flushed, true, 'a guest that shut down has its disks flushed')

      must(await host.start(await harness.guest('reset')))
      if (resetsInPlace) await events.next('reset')
      else assert.equal((await events.next('exited')).cause, 'guest-shutdown')
    })

    it('pauses and resumes', async () => {
      const launch = await harness.guest('write')
      must(await host.start(launch))
      must(await host.pause(launch.guest))
      assert.equal(must(await host.inspect(launch.guest)).status, 'paused')
      must(await host.resume(launch.guest))
      await harness.untilWriting(launch)
    })

    it('a killed replica stops the guest; without the leg it goes on and sees no error', async () => {
      const launch = await degraded()
      assert.deepEqual(legsOf(must(await host.inspect(launch.guest)), launch), ['a'])
      assert.deepEqual(events.kinds(), ['io-error'], 'told once')
    })

    it('loses the first leg as well as the second', async () => {
      const launch = await harness.guest('write')
      must(await host.start(launch))
      await harness.untilWriting(launch)
      await harness.killServer('a')
      const event = await events.next('io-error')
      assert.deepEqual(event.hosts, ['a'])
      must(await host.dropLeg(launch.guest, volumeOf(launch), 'a'))
      must(await host.resume(launch.guest))
      await harness.untilWriting(launch)
      assert.deepEqual(legsOf(must(await host.inspect(launch.guest)), launch), ['b'])
    })

    it('a frozen replica is freed by a yank', async () => {
      const launch = await harness.guest('write')
      must(await host.start(launch))
      await harness.untilWriting(launch)
      await harness.freezeServer('b')
      must(await host.yankLeg(launch.guest, volumeOf(launch), 'b'))
      await events.next('io-error')
      must(await host.dropLeg(launch.guest, volumeOf(launch), 'b'))
      must(await host.resume(launch.guest))
      await harness.untilWriting(launch)
    })

    it('changes no disk of a running guest and never drops the last leg', async () => {
      const launch = await harness.guest('write')
      must(await host.start(launch))
      refused(await host.dropLeg(launch.guest, volumeOf(launch), 'b'), 'conflict')
      must(await host.pause(launch.guest))
      must(await host.dropLeg(launch.guest, volumeOf(launch), 'b'))
      must(await host.dropLeg(launch.guest, volumeOf(launch), 'b'))
      refused(await host.dropLeg(launch.guest, volumeOf(launch), 'a'), 'conflict')
      assert.deepEqual(legsOf(must(await host.inspect(launch.guest)), launch), ['a'])
    })

    it('attaches a prepared leg, which then carries the disk alone', async () => {
      const launch = await degraded()
      await harness.startServer('b')
      must(await host.prepareLeg(launch.guest, volumeOf(launch), harness.leg(launch, 'b')))
      assert.deepEqual(legsOf(must(await host.inspect(launch.guest)), launch), ['a'], 'prepared is not attached')
      refused(await host.attachLeg(launch.guest, volumeOf(launch), 'b'), 'conflict')
      must(await host.pause(launch.guest))
      must(await host.attachLeg(launch.guest, volumeOf(launch), 'b'))
      assert.deepEqual(legsOf(must(await host.inspect(launch.guest)), launch), ['a', 'b'])
      must(await host.resume(launch.guest))
      await harness.untilWriting(launch)
      await harness.killServer('a')
      assert.deepEqual((await events.next('io-error')).hosts, ['a'])
      must(await host.dropLeg(launch.guest, volumeOf(launch), 'a'))
      must(await host.resume(launch.guest))
      await harness.untilWriting(launch)
    })

    it('puts a local leg first again when it comes back', async () => {
      const launch = await harness.guest('write', ['b'])
      must(await host.start(launch))
      must(await host.prepareLeg(launch.guest, volumeOf(launch), harness.leg(launch, 'a')))
      must(await host.pause(launch.guest))
      must(await host.attachLeg(launch.guest, volumeOf(launch), 'a'))
      assert.deepEqual(legsOf(must(await host.inspect(launch.guest)), launch), ['a', 'b'])
      must(await host.resume(launch.guest))
      await harness.untilWriting(launch)
    })

    it("puts a new connection in the place of a leg, the disk's only one too", async () => {
      const launch = await harness.guest('write')
      must(await host.start(launch))
      await harness.untilWriting(launch)
      const volume = volumeOf(launch)
      refused(await host.replaceLeg(launch.guest, volume, harness.leg(launch, 'b')), 'conflict')
      must(await host.pause(launch.guest))
      must(await host.replaceLeg(launch.guest, volume, harness.leg(launch, 'b')))
      assert.deepEqual(legsOf(must(await host.inspect(launch.guest)), launch), ['a', 'b'])
      must(await host.resume(launch.guest))
      await harness.untilWriting(launch)
      must(await host.pause(launch.guest))
      must(await host.dropLeg(launch.guest, volume, 'a'))
      refused(await host.replaceLeg(launch.guest, volume, harness.leg(launch, 'a')), 'conflict')
      for (let round = 0; round < 2; round++)
        must(await host.replaceLeg(launch.guest, volume, harness.leg(launch, 'b')))
      assert.deepEqual(legsOf(must(await host.inspect(launch.guest)), launch), ['b'])
      must(await host.resume(launch.guest))
      await harness.untilWriting(launch)
      await harness.killServer('b')
      assert.deepEqual((await events.next('io-error')).hosts, ['b'])
      refused(await host.replaceLeg(launch.guest, volume, harness.leg(launch, 'b')), 'host_unreachable')
    })

    it('prepares no leg on a server that does not answer, and discards what it prepared', async () => {
      const launch = await degraded()
      const leg = harness.leg(launch, 'b')
      refused(await host.prepareLeg(launch.guest, volumeOf(launch), leg), 'host_unreachable')
      await harness.startServer('b')
      must(await host.prepareLeg(launch.guest, volumeOf(launch), leg))
      must(await host.prepareLeg(launch.guest, volumeOf(launch), leg))
      must(await host.discardLeg(launch.guest, volumeOf(launch), 'b'))
      must(await host.discardLeg(launch.guest, volumeOf(launch), 'b'))
      must(await host.pause(launch.guest))
      refused(await host.attachLeg(launch.guest, volumeOf(launch), 'b'), 'conflict')
      refused(await host.discardLeg(launch.guest, volumeOf(launch), 'a'), 'conflict')
    })

    it('flushes a running guest; tells when a leg is gone', async () => {
      const launch = await harness.guest('write')
      must(await host.start(launch))
      await harness.untilWriting(launch)
      must(await host.drainAndFlush(launch.guest, volumeOf(launch)))
      await harness.untilWriting(launch)
      await harness.killServer('b')
      await events.next('io-error')
      refused(await host.drainAndFlush(launch.guest, volumeOf(launch)), 'storage')
    })

    it('quits cleanly only when nothing can be missing on a leg', async () => {
      const launch = await harness.guest('write')
      must(await host.start(launch))
      await harness.untilWriting(launch)
      assert.deepEqual(must(await host.quit(launch.guest)), { flushed: true })
      assert.equal((await events.next('exited')).cause, 'asked')
      refused(await host.quit(launch.guest), 'not_found')

      must(await host.start({ ...launch, epoch: 2 }))
      await harness.untilWriting(launch)
      await harness.killServer('b')
      await events.next('io-error')
      assert.deepEqual(must(await host.quit(launch.guest)), { flushed: false })
    })

    it('ends a guest that hangs on a frozen replica, uncleanly', async () => {
      const launch = await harness.guest('write')
      must(await host.start(launch))
      await harness.untilWriting(launch)
      await harness.freezeServer('b')
      assert.deepEqual(must(await host.quit(launch.guest)), { flushed: false })
      assert.equal((await events.next('exited')).flushed, false)
    })

    it('a restarted agent finds its guests, their legs and their trouble', async () => {
      const launch = await degraded()
      const before = must(await host.inspect(launch.guest))
      const second = await harness.restartAgent()
      assert.deepEqual(await second.adopt(), [before])
      await harness.startServer('b')
      must(await second.prepareLeg(launch.guest, volumeOf(launch), harness.leg(launch, 'b')))
      must(await second.pause(launch.guest))
      must(await second.attachLeg(launch.guest, volumeOf(launch), 'b'))
      const heard = new Recorder(second)
      await harness.killServer('b')
      must(await second.resume(launch.guest))
      await heard.next('io-error')

      const third = await harness.restartAgent()
      const heardAgain = new Recorder(third)
      const [adopted] = await third.adopt()
      assert.ok(adopted)
      assert.equal(adopted.status, 'io-error')
      assert.deepEqual(legsOf(adopted, launch), ['a', 'b'], 'the dead leg is still part of the disk')
      assert.equal((await heardAgain.next('io-error')).volume, volumeOf(launch))
      must(await third.dropLeg(launch.guest, volumeOf(launch), 'b'))
      must(await third.resume(launch.guest))
      await harness.untilWriting(launch)
      must(await third.kill(launch.guest))
    })

    for (const { hosts, width } of [
      { hosts: ['a', 'b'], width: 2 },
      { hosts: ['b'], width: 2 },
      { hosts: ['b'], width: 1 },
    ] as const)
      it(`makes the disk of a running guest larger, with ${hosts.length} legs of ${width}`, async () => {
        const made = await harness.guest('write', hosts)
        const launch = { ...made, disks: made.disks.map((each) => ({ ...each, width })) }
        const [disk] = launch.disks
        assert.ok(disk)
        const { volume } = disk
        must(await host.start(launch))
        await harness.untilWriting(launch)
        const sizeBytes = 2 * disk.sizeBytes
        const grown = { ...disk, sizeBytes, legs: hosts.map((server) => harness.leg(launch, server)) }
        refused(await host.holdDisk(launch.guest, volume), 'conflict')
        refused(await host.growDisk(launch.guest, grown), 'conflict')
        must(await host.pause(launch.guest))
        must(await host.holdDisk(launch.guest, volume))
        must(await host.holdDisk(launch.guest, volume))
        // An agent that knows nothing of it lets the guest go on: it stops before anything is written.
        const second = await harness.restartAgent()
        const heard = new Recorder(second)
        const [held] = await second.adopt()
        assert.deepEqual(held?.legs.get(volume), [])
        if (held?.status === 'paused') must(await second.resume(launch.guest))
        await heard.next('io-error')
        assert.equal(must(await second.inspect(launch.guest)).status, 'io-error')
        await harness.serveLarger(launch, sizeBytes)
        must(await second.growDisk(launch.guest, grown))
        assert.equal(must(await second.hardware(launch.guest)).disks[0]?.sizeBytes, sizeBytes)
        assert.deepEqual(legsOf(must(await second.inspect(launch.guest)), launch), hosts)
        must(await second.resume(launch.guest))
        await harness.untilWriting(launch)
        const third = await harness.restartAgent()
        const [adopted] = await third.adopt()
        assert.equal(adopted?.disks[0]?.sizeBytes, sizeBytes)
        assert.deepEqual(adopted?.legs.get(volume), hosts)
        if (width === 2) {
          // The new graph loses legs and takes them in as the old one did.
          must(await third.pause(launch.guest))
          if (hosts.length === 2) must(await third.dropLeg(launch.guest, volume, 'a'))
          must(await third.prepareLeg(launch.guest, volume, harness.leg(launch, 'a')))
          must(await third.attachLeg(launch.guest, volume, 'a'))
          must(await third.resume(launch.guest))
          await harness.untilWriting(launch)
          assert.deepEqual(legsOf(must(await third.inspect(launch.guest)), launch), ['a', 'b'])
        }
        assert.equal(must(await third.quit(launch.guest)).flushed, true)
      })

    if (hasMachine) machineDevicesContract(() => ({ host, harness }))
    else containerDevicesContract(() => ({ host, harness }))

    it('knows nothing of a guest that does not run', async () => {
      const launch = await harness.guest('idle')
      const { guest } = launch
      for (const call of [
        host.pause(guest),
        host.resume(guest),
        host.requestShutdown(guest),
        host.inspect(guest),
        host.quit(guest),
      ]) {
        refused(await call, 'not_found')
      }
      refused(await host.drainAndFlush(launch.guest, volumeOf(launch)), 'not_found')
      refused(await host.hardware(guest), 'not_found')
      refused(await host.setCpus(guest, 1), 'not_found')
      refused(await host.memoryUse(guest), 'not_found')
    })
  })
}

export function volumeOf(launch: GuestLaunch) {
  const disk = launch.disks[0]
  assert.ok(disk)
  return disk.volume
}

function legsOf(running: RunningGuest, launch: GuestLaunch): readonly string[] | undefined {
  return running.legs.get(volumeOf(launch))
}

export function must<T>(result: Result<T>): T {
  if (!result.ok) assert.fail(`${result.error.code}: ${result.error.message} ${inspect(result.error.cause)}`)
  return result.value
}

export function refused(result: Result<unknown>, code: string): void {
  assert.ok(!result.ok, `expected the failure ${code}`)
  assert.equal(result.error.code, code, result.error.message)
}

class Recorder {
  readonly #seen: GuestEvent[] = []
  readonly #waiting = new Set<() => void>()
  #taken = 0

  constructor(host: GuestHost) {
    host.subscribe((event) => {
      this.#seen.push(event)
      for (const wake of this.#waiting) wake()
    })
  }

  kinds(): readonly string[] {
    return this.#seen.map((event) => event.kind)
  }

  /** The first event of the kind after the one that was taken last. */
  async next<K extends GuestEvent['kind']>(kind: K): Promise<GuestEvent & { kind: K }> {
    const deadline = performance.now() + EVENT_WAIT_MS
    for (;;) {
      const index = this.#seen.findIndex((event, place) => place >= this.#taken && event.kind === kind)
      if (index >= 0) {
        this.#taken = index + 1
        return this.#seen[index] as GuestEvent & { kind: K }
      }
      const left = deadline - performance.now()
      if (left <= 0) assert.fail(`no ${kind} event; seen: ${this.kinds().join(', ')}`)
      await new Promise<void>((resolve) => {
        const wake = () => {
          clearTimeout(timer)
          this.#waiting.delete(wake)
          resolve()
        }
        const timer = setTimeout(wake, left)
        this.#waiting.add(wake)
      })
    }
  }
}
