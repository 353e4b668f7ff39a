/**
 * What every `GuestMigration` must do, written once. A harness brings two hosts, `here` and `there`, whose guests' disks
 * are on the same storage, and guests that write a growing number which they keep in their memory.
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GuestHost, GuestLaunch, RunningGuest } from '@stead/core/ports/guest-host.ts'
import type {
  ArrivalEndpoint,
  GuestMigration,
  MigrationLimits,
  MigrationProgress,
} from '@stead/core/ports/guest-migration.ts'
import type { Result } from '@stead/core/result.ts'
import type { MoveStep } from '../guest-faults.ts'
import { must } from './guest-host-contract.ts'

export type HostName = 'here' | 'there'

export interface MigrationHost {
  /** Where it listens for guests that come. */
  readonly address: string
  readonly guests: GuestHost
  readonly migration: GuestMigration
}

export interface GuestMigrationHarness {
  readonly hosts: Readonly<Record<HostName, MigrationHost>>
  /** False of containers, and where the kernel keeps from the hypervisor what it needs for it. */
  readonly knowsPostCopy: boolean
  /** False of containers, which stand still for all of the copy. */
  readonly runsWhileCopied: boolean
  /** False of containers, whose agents are themselves the ends of the connection: a move ends with either of them. */
  readonly outlivesAgents: boolean
  /** Storage for a new guest, and a launch that uses it at epoch 1. */
  guest(): Promise<GuestLaunch>
  /** The same guest at a newer epoch, whose disks are served beside those of the older ones. */
  open(launch: GuestLaunch, epoch: number): Promise<GuestLaunch>
  /** Ends what is served of older epochs, with all connections to it. */
  closeBelow(launch: GuestLaunch, epoch: number): Promise<void>
  /** Resolves once the guest has had further writes acknowledged there; rejects when it does not write within a bound. */
  untilWriting(host: HostName, launch: GuestLaunch): Promise<void>
  /** The highest number that every replica has. */
  written(launch: GuestLaunch): number
  /** How many times the guest was seen to boot on that host. */
  boots(host: HostName, launch: GuestLaunch): number
  /** Of containers: the next such step of CRIU fails. Absent: there is none. */
  readonly failNext?: (step: MoveStep) => void
  /** Ends the hypervisor's process as a crash would. */
  crash(host: HostName, running: RunningGuest): Promise<void>
  /** Another instance over the same processes; the old one hears and says nothing more. */
  restartAgent(host: HostName): Promise<void>
  close(): Promise<void>
}

const SECRET = 'a0'.repeat(32)
const FULL_SPEED: MigrationLimits = { bandwidthBytesPerSecond: 0, downtimeMs: 300, postCopy: false }
/** So slow, and with so short a standstill, that the copying does not end by itself. */
const SLOWLY: MigrationLimits = { bandwidthBytesPerSecond: 50_000, downtimeMs: 1, postCopy: false }
/** Slow enough that a part of the memory is missing when the guest has gone. */
const POST_COPY: MigrationLimits = { bandwidthBytesPerSecond: 400_000, downtimeMs: 1, postCopy: true }
const BOUND_MS = 20_000
const POLL_MS = 5

export function guestMigrationContract(name: string, make: () => Promise<GuestMigrationHarness>): void {
  describe(`GuestMigration contract: ${name}`, () => {
    let harness: GuestMigrationHarness

    beforeEach(async () => {
      harness = await make()
    })
    afterEach(() => harness.close())

    const at = (host: HostName): MigrationHost => harness.hosts[host]

    async function running(): Promise<GuestLaunch> {
      const launch = await harness.guest()
      must(await at('here').guests.start(launch))
      await harness.untilWriting('here', launch)
      return launch
    }

    /** The guest at `epoch`, awaited at the other host. */
    async function awaited(
      launch: GuestLaunch,
      epoch = 2,
      from: HostName = 'here',
      postCopy = false,
    ): Promise<{ readonly next: GuestLaunch; readonly endpoint: ArrivalEndpoint }> {
      const seen = must(await at(from).migration.launchOf(launch.guest))
      assert.equal(seen.memoryBytes, launch.memoryBytes)
      assert.deepEqual(seen.disks, launch.disks)
      const { disks } = await harness.open(launch, epoch)
      const next = { ...seen, disks, epoch }
      const { migration, address } = at(from === 'here' ? 'there' : 'here')
      const endpoint = must(await migration.receive(next, { address, secret: SECRET, postCopy }))
      return { next, endpoint }
    }

    async function until(
      host: HostName,
      { guest }: GuestLaunch,
      ...phases: readonly MigrationProgress['phase'][]
    ): Promise<MigrationProgress> {
      for (const deadline = performance.now() + BOUND_MS; ; await sleep(POLL_MS)) {
        const progress = must(await at(host).migration.progress(guest))
        if (phases.includes(progress.phase)) return progress
        assert.ok(
          performance.now() < deadline,
          `${progress.phase} instead of ${phases.join(' or ')}: ${progress.error}`,
        )
      }
    }

    async function standingStill(launch: GuestLaunch): Promise<GuestLaunch> {
      const { next, endpoint } = await awaited(launch)
      must(await at('here').migration.send(launch.guest, endpoint, FULL_SPEED))
      must(await at('here').migration.awaitStandstill(launch.guest, inTime()))
      return next
    }

    const inTime = () => AbortSignal.timeout(BOUND_MS)

    async function switchOver(from: HostName, to: HostName, launch: GuestLaunch, epoch: number): Promise<void> {
      must(await at(from).migration.relinquishDisks(launch.guest))
      await harness.closeBelow(launch, epoch)
      const [completed, arrived] = await Promise.all([
        at(from).migration.complete(launch.guest),
        at(to).migration.awaitArrival(launch.guest, BOUND_MS),
      ])
      assert.equal(must(completed).phase, 'completed')
      assert.equal(must(arrived).status, 'running')
      assert.equal(must(arrived).epoch, epoch)
      assert.equal(must(await at(from).guests.inspect(launch.guest)).status, 'departed')
      must(await at(from).guests.kill(launch.guest))
    }

    async function untilGone(host: HostName, launch: GuestLaunch): Promise<void> {
      for (const deadline = performance.now() + BOUND_MS; ; await sleep(POLL_MS)) {
        if (!(await at(host).guests.inspect(launch.guest)).ok) return
        assert.ok(performance.now() < deadline, `the guest does not end ${host}`)
      }
    }

    it('moves a guest with its memory and its disks, there and back', async () => {
      const launch = await running()
      assert.equal(must(await at('here').migration.progress(launch.guest)).phase, 'none')
      assert.equal(must(await at('here').guests.inspect(launch.guest)).sending, undefined)
      const { next, endpoint } = await awaited(launch)
      assert.equal(must(await at('there').guests.inspect(launch.guest)).status, 'arriving')
      must(await at('here').migration.send(launch.guest, endpoint, FULL_SPEED))
      must(await at('here').migration.awaitStandstill(launch.guest, inTime()))
      const before = harness.written(launch)
      await switchOver('here', 'there', launch, 2)
      await harness.untilWriting('there', next)
      assert.ok(harness.written(launch) > before)
      assert.equal(harness.boots('there', launch), 0)
      const progress = must(await at('there').migration.progress(launch.guest))
      assert.equal(progress.phase, 'none', 'it came, it was not sent')

      const back = await awaited(next, 3, 'there')
      must(await at('there').migration.send(launch.guest, back.endpoint, FULL_SPEED))
      must(await at('there').migration.awaitStandstill(launch.guest, inTime()))
      const beforeReturn = harness.written(launch)
      assert.ok(beforeReturn > before)
      await switchOver('there', 'here', launch, 3)
      await harness.untilWriting('here', back.next)
      assert.ok(harness.written(launch) > beforeReturn)
    })

    it('lets nobody write while the guest stands still', async () => {
      const launch = await running()
      await standingStill(launch)
      const found = must(await at('here').guests.inspect(launch.guest))
      assert.equal(found.sending, 'standing-still')
      assert.notEqual(found.status, 'running')
      const before = harness.written(launch)
      await sleep(POLL_MS)
      assert.equal(must(await at('there').guests.inspect(launch.guest)).status, 'arriving')
      assert.equal(harness.written(launch), before)
    })

    it('goes on where it was when it is called back while it copies', async () => {
      const launch = await running()
      const { endpoint } = await awaited(launch)
      must(await at('here').migration.send(launch.guest, endpoint, SLOWLY))
      const copying = await until('here', launch, 'copying')
      assert.ok(copying.totalBytes >= launch.memoryBytes)
      if (harness.runsWhileCopied) await harness.untilWriting('here', launch)
      refused(await at('here').migration.awaitStandstill(launch.guest, AbortSignal.abort()), 'timeout')
      refused(await at('here').migration.relinquishDisks(launch.guest), 'conflict')
      refused(await at('here').migration.send(launch.guest, endpoint, FULL_SPEED), 'conflict')
      must(await at('here').migration.cancel(launch.guest))
      must(await at('here').migration.cancel(launch.guest))
      await harness.untilWriting('here', launch)
      assert.ok(!(await at('there').migration.awaitArrival(launch.guest, BOUND_MS)).ok)
      await untilGone('there', launch)
      assert.equal(must(await at('here').guests.inspect(launch.guest)).sending, undefined)
    })

    it('goes on where it was when it is called back while it stands still, and moves later', async () => {
      const launch = await running()
      await standingStill(launch)
      must(await at('here').migration.cancel(launch.guest))
      assert.equal(must(await at('here').guests.inspect(launch.guest)).status, 'running')
      await harness.untilWriting('here', launch)
      await untilGone('there', launch)

      const { next, endpoint } = await awaited(launch, 3)
      must(await at('here').migration.send(launch.guest, endpoint, FULL_SPEED))
      must(await at('here').migration.awaitStandstill(launch.guest, inTime()))
      await switchOver('here', 'there', launch, 3)
      await harness.untilWriting('there', next)
    })

    it('stays where it is when the destination dies while it copies', async () => {
      const launch = await running()
      const { endpoint } = await awaited(launch)
      must(await at('here').migration.send(launch.guest, endpoint, SLOWLY))
      await until('here', launch, 'copying')
      await harness.crash('there', must(await at('there').guests.inspect(launch.guest)))
      assert.ok(!(await at('here').migration.awaitStandstill(launch.guest, inTime())).ok)
      assert.ok((await until('here', launch, 'failed')).error)
      must(await at('here').migration.cancel(launch.guest))
      await harness.untilWriting('here', launch)
    })

    it('is called back when the destination dies while it stands still', async () => {
      const launch = await running()
      await standingStill(launch)
      await harness.crash('there', must(await at('there').guests.inspect(launch.guest)))
      assert.ok((await until('here', launch, 'failed')).error)
      assert.notEqual(must(await at('here').guests.inspect(launch.guest)).status, 'running')
      must(await at('here').migration.cancel(launch.guest))
      await harness.untilWriting('here', launch)
    })

    it('never runs again once it was let go, though the destination died', async () => {
      const launch = await running()
      await standingStill(launch)
      must(await at('here').migration.relinquishDisks(launch.guest))
      await harness.closeBelow(launch, 2)
      refused(await at('here').migration.cancel(launch.guest), 'conflict')
      const before = harness.written(launch)
      await harness.crash('there', must(await at('there').guests.inspect(launch.guest)))
      assert.ok(!(await at('here').migration.complete(launch.guest)).ok)
      await untilGone('here', launch)
      assert.equal(harness.written(launch), before)
    })

    it('goes on where it was when it cannot be written down', async (context) => {
      if (!harness.failNext) return context.skip('nothing is written down')
      const launch = await running()
      const { endpoint } = await awaited(launch)
      harness.failNext('dump')
      must(await at('here').migration.send(launch.guest, endpoint, FULL_SPEED))
      assert.ok(!(await at('here').migration.awaitStandstill(launch.guest, inTime())).ok)
      assert.ok((await until('here', launch, 'failed')).error)
      must(await at('here').migration.cancel(launch.guest))
      await harness.untilWriting('here', launch)
      await untilGone('there', launch)
      assert.equal(harness.boots('here', launch), 1)
    })

    it('runs nowhere when it was let go and cannot be restored there', async (context) => {
      if (!harness.failNext) return context.skip('nothing is restored')
      const launch = await running()
      await standingStill(launch)
      must(await at('here').migration.relinquishDisks(launch.guest))
      await harness.closeBelow(launch, 2)
      const before = harness.written(launch)
      harness.failNext('restore')
      const [completed, arrived] = await Promise.all([
        at('here').migration.complete(launch.guest),
        at('there').migration.awaitArrival(launch.guest, BOUND_MS),
      ])
      assert.ok(!completed.ok && !arrived.ok)
      await untilGone('here', launch)
      await untilGone('there', launch)
      assert.equal(harness.written(launch), before)
    })

    for (const phase of ['copying', 'standing-still'] as const) {
      it(`ends the waiting when the source dies: ${phase}`, async () => {
        const launch = await running()
        const { endpoint } = await awaited(launch)
        must(await at('here').migration.send(launch.guest, endpoint, phase === 'copying' ? SLOWLY : FULL_SPEED))
        await until('here', launch, phase)
        const arrival = at('there').migration.awaitArrival(launch.guest, BOUND_MS)
        await harness.crash('here', must(await at('here').guests.inspect(launch.guest)))
        assert.ok(!(await arrival).ok)
        await untilGone('there', launch)
        assert.equal(harness.boots('there', launch), 0)
      })
    }

    it('waits only so long', async () => {
      const launch = await running()
      await awaited(launch)
      refused(await at('there').migration.awaitArrival(launch.guest, POLL_MS), 'timeout')
      assert.equal(must(await at('there').guests.inspect(launch.guest)).status, 'arriving')
      must(await at('there').guests.kill(launch.guest))
      await harness.untilWriting('here', launch)
    })

    it('takes in only who has the key', async () => {
      const launch = await running()
      const { endpoint } = await awaited(launch)
      await at('here').migration.send(launch.guest, { ...endpoint, secret: 'b1'.repeat(32) }, FULL_SPEED)
      assert.ok((await until('here', launch, 'failed')).error)
      await harness.untilWriting('here', launch)
      assert.equal(must(await at('there').guests.inspect(launch.guest)).status, 'arriving')
      must(await at('here').migration.send(launch.guest, endpoint, FULL_SPEED))
      must(await at('here').migration.awaitStandstill(launch.guest, inTime()))
      await switchOver('here', 'there', launch, 2)
    })

    it('is found by the agents that come after: who stands still, and who waits', async (context) => {
      if (!harness.outlivesAgents) return context.skip('a move ends with either agent')
      const launch = await running()
      const next = await standingStill(launch)
      await harness.restartAgent('here')
      await harness.restartAgent('there')
      const [source] = await at('here').guests.adopt()
      const [destination] = await at('there').guests.adopt()
      assert.equal(source?.sending, 'standing-still')
      assert.equal(destination?.status, 'arriving')
      assert.equal(destination.sending, undefined)
      await switchOver('here', 'there', launch, 2)
      await harness.untilWriting('there', next)
    })

    for (const host of ['here', 'there'] as const)
      it(`goes on where it was when the agent ${host} ends, and moves later`, async (context) => {
        if (harness.outlivesAgents) return context.skip('the move outlives its agents')
        const launch = await running()
        await standingStill(launch)
        await harness.restartAgent(host)
        const [found] = await at(host).guests.adopt()
        assert.equal(found?.sending !== undefined, host === 'here')
        if (host === 'there') assert.ok((await until('here', launch, 'failed')).error)
        must(await at('here').migration.cancel(launch.guest))
        await harness.untilWriting('here', launch)
        await untilGone('there', launch)

        const { next, endpoint } = await awaited(launch, 3)
        must(await at('here').migration.send(launch.guest, endpoint, FULL_SPEED))
        must(await at('here').migration.awaitStandstill(launch.guest, inTime()))
        await switchOver('here', 'there', launch, 3)
        await harness.untilWriting('there', next)
      })

    it('does not receive a guest that runs there at a newer epoch', async () => {
      const launch = await running()
      const { next } = await awaited(launch)
      const { migration, address } = at('there')
      refused(await migration.receive({ ...next, epoch: 1 }, { address, secret: SECRET }), 'stale_epoch')
    })

    describe('post-copy', () => {
      /** The guest runs there; a part of its memory is still here. */
      async function halfThere(context: TestContext): Promise<GuestLaunch | undefined> {
        if (!harness.knowsPostCopy) return void context.skip('it is not known here')
        const launch = await running()
        const { next, endpoint } = await awaited(launch, 2, 'here', true)
        assert.equal(endpoint.postCopyRefusal, undefined)
        must(await at('here').migration.send(launch.guest, endpoint, POST_COPY))
        await until('here', launch, 'copying')
        must(await at('here').migration.startPostCopy(launch.guest))
        must(await at('here').migration.awaitStandstill(launch.guest, inTime()))
        must(await at('here').migration.relinquishDisks(launch.guest))
        await harness.closeBelow(launch, 2)
        return next
      }
      const letGo = (launch: GuestLaunch) => {
        const sent = at('here').migration.complete(launch.guest)
        return { sent, arrived: at('there').migration.awaitArrival(launch.guest, BOUND_MS) }
      }
      const memory = (launch: GuestLaunch, known: 'coming' | 'interrupted' = 'coming') =>
        at('there').migration.awaitMemory(launch.guest, known, inTime())

      it('lets the guest go on before all of its memory is there, which follows', async (context) => {
        const launch = await halfThere(context)
        if (!launch) return
        const before = harness.written(launch)
        const { sent, arrived } = letGo(launch)
        assert.equal(must(await arrived).status, 'running')
        refused(await at('here').migration.cancel(launch.guest), 'conflict')
        assert.equal(must(await memory(launch)), 'here')
        assert.equal(must(await sent).phase, 'completed')
        await harness.untilWriting('there', launch)
        assert.ok(harness.written(launch) > before)
        assert.equal(harness.boots('there', launch), 0)
        must(await at('here').guests.kill(launch.guest))
      })

      it('is refused where the destination was not asked for it, and the copy goes on', async () => {
        const launch = await running()
        const { endpoint } = await awaited(launch)
        must(await at('here').migration.send(launch.guest, endpoint, { ...SLOWLY, postCopy: true }))
        await until('here', launch, 'copying')
        refused(await at('here').migration.startPostCopy(launch.guest), 'conflict')
        const { error } = must(await at('here').migration.progress(launch.guest))
        assert.equal(error, undefined)
        must(await at('here').migration.cancel(launch.guest))
      })

      it('can be called back until the guest is let go', async (context) => {
        if (!harness.knowsPostCopy) return context.skip('it is not known here')
        const launch = await running()
        const { endpoint } = await awaited(launch, 2, 'here', true)
        must(await at('here').migration.send(launch.guest, endpoint, POST_COPY))
        await until('here', launch, 'copying')
        must(await at('here').migration.startPostCopy(launch.guest))
        must(await at('here').migration.awaitStandstill(launch.guest, inTime()))
        must(await at('here').migration.cancel(launch.guest))
        await harness.untilWriting('here', launch)
        await untilGone('there', launch)
      })

      it('goes on when the two have lost each other and find each other again, with other agents too', async (context) => {
        const launch = await halfThere(context)
        if (!launch) return
        const { sent, arrived } = letGo(launch)
        must(await arrived)
        await until('here', launch, 'post-copy')
        await harness.restartAgent('here')
        await harness.restartAgent('there')
        void sent.catch(() => undefined)
        assert.equal((await at('here').guests.adopt())[0]?.sending, 'post-copy')
        assert.equal((await at('there').guests.adopt())[0]?.status, 'running')
        const interrupted = at('here').migration.awaitSent(launch.guest)
        const rest = must(await at('there').migration.receiveRest(launch.guest, at('there').address))
        assert.equal(must(await interrupted).phase, 'interrupted')
        refused(await at('here').migration.cancel(launch.guest), 'conflict')
        must(await at('here').migration.resume(launch.guest, rest))
        assert.equal(must(await at('here').migration.awaitSent(launch.guest)).phase, 'completed')
        assert.equal(must(await memory(launch, 'interrupted')), 'here')
        await harness.untilWriting('there', launch)
        assert.equal(harness.boots('there', launch), 0)
      })

      it('tells the destination that the source has died: nothing more will come', async (context) => {
        const launch = await halfThere(context)
        if (!launch) return
        const { sent, arrived } = letGo(launch)
        must(await arrived)
        await harness.crash('here', must(await at('here').guests.inspect(launch.guest)))
        assert.equal(must(await memory(launch)), 'interrupted')
        assert.ok(!(await sent).ok || must(await sent).phase === 'interrupted')
        must(await at('there').guests.kill(launch.guest))
        await untilGone('there', launch)
      })

      it('tells the source that the destination has died, and it never runs here again', async (context) => {
        const launch = await halfThere(context)
        if (!launch) return
        const { sent, arrived } = letGo(launch)
        const there = must(await arrived)
        await harness.crash('there', there)
        assert.equal(must(await sent).phase, 'interrupted')
        assert.notEqual(must(await at('here').guests.inspect(launch.guest)).status, 'running')
        refused(await at('here').migration.cancel(launch.guest), 'conflict')
        must(await at('here').guests.kill(launch.guest))
      })
    })

    it('knows nothing of a guest that is not there', async () => {
      const { guest } = await harness.guest()
      const endpoint = { address: at('there').address, port: 1, secret: SECRET }
      for (const call of [
        at('here').migration.launchOf(guest),
        at('here').migration.send(guest, endpoint, FULL_SPEED),
        at('here').migration.progress(guest),
        at('here').migration.complete(guest),
        at('here').migration.cancel(guest),
        at('here').migration.awaitStandstill(guest, inTime()),
        at('here').migration.relinquishDisks(guest),
        at('here').migration.awaitArrival(guest, BOUND_MS),
      ])
        refused(await call, 'not_found')
    })
  })
}

function refused(result: Result<unknown>, code: string): void {
  assert.ok(!result.ok, `expected the failure ${code}`)
  assert.equal(result.error.code, code, result.error.message)
}
