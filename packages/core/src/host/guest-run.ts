/**
 * One guest on this host: an actor that makes what runs here agree with the grant, step by step. It is woken by
 * every change and by QEMU's own events; each look starts from the facts, so it does not matter which came first
 * or whether the agent was restarted in between.
 */
import type { Grant } from '../model/grant.ts'
import {
  failuresAfterBoot,
  failuresMax,
  type Guest,
  type GuestObservation,
  type MigrationReport,
} from '../model/guest.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import type { GuestDisk, GuestEvent, RunningGuest } from '../ports/guest-host.ts'
import { FIRST_STEPS_MS, type Arrivals } from './arrivals.ts'
import { Departure, type DepartureOutcome } from './departure.ts'
import { takeBackHandover } from './handover-records.ts'
import { DiskKeeper } from './disk-keeper.ts'
import type { HostContext } from './host-context.ts'
import { GuestProbing } from './guest-probing.ts'
import { launchGuest } from './guest-launch.ts'
import { MediumKeeper } from './guest-media.ts'
import { GuestReport } from './guest-report.ts'
import { HardwareKeeper, startingKey } from './hardware-keeper.ts'
import { bootOf, RunRecords } from './run-records.ts'
import { healLegs } from './leg-healing.ts'
import { awaitRest, isRestOn, sendRest } from './memory-rest.ts'
import { isGuarded } from '../ha/self-fencing.ts'
import { watchdogEvent } from './watchdog-event.ts'
import { RunSnapshots } from './run-snapshots.ts'
import { yieldToSurvivors } from './surviving-replicas.ts'

/** A guest that has not shut down by itself after this long is switched off. */
const SHUTDOWN_PATIENCE_MS = 30_000
/** The request is repeated: a guest that is still booting does not hear the first one. */
const SHUTDOWN_REPEAT_MS = 3_000
/** A run that lasted this long proves that earlier failures are over. */
const STABLE_MS = 60_000
/** Between two looks whether the guardian watches over this host. */
const GUARDIAN_LOOK_MS = 50
/** From the grant to a guest that runs here, of one that came over live: its last state is sent in that time. */
const ARRIVAL_MS_MAX = 20_000

type Move = Pick<Departure, 'callOff' | 'drop'>
/** Of one that was let go long ago. */
const NO_WAY_BACK: Move = { callOff: async () => undefined, drop: () => undefined }

interface Run {
  readonly epoch: number
  readonly records: RunRecords
  readonly disks: DiskKeeper
  readonly probing: GuestProbing
  readonly snapshots: RunSnapshots
  readonly medium: MediumKeeper
  readonly hardware: HardwareKeeper
  readonly startedMs: number
  /** The grant is ours, and the guest is not here yet: its hypervisor waits for it and must not be touched. */
  isArriving?: boolean
  /** Its move to another host; the outcome once that is over. */
  departure?: { readonly move: Move; readonly epoch: number; outcome?: DepartureOutcome }
  /** The rest of its memory is on its way here, and is waited for until aborted. */
  rest?: AbortController
  exit?: Extract<GuestEvent, { kind: 'exited' }>
  end?: { readonly reason: string; readonly deposed: boolean }
  /** Its probe has failed, and it is to be restarted for that. */
  unready?: string
}

export class GuestRun {
  readonly #context: HostContext
  readonly #arrivals: Arrivals
  readonly #guest: GuestId
  #run: Run | undefined
  #looking = false
  #lookAgain = false
  /** The newest epoch that has ended here: it is never begun again, however late the mirror is. */
  #endedEpoch = 0
  /** What happened before the start was told to have succeeded: a disk may fail, or QEMU end, at its first breath. */
  readonly #early: GuestEvent[] = []
  readonly #report: GuestReport

  constructor(context: HostContext, arrivals: Arrivals, guest: GuestId) {
    this.#context = context
    this.#arrivals = arrivals
    this.#guest = guest
    this.#report = new GuestReport(context, guest, () => this.#failures())
  }

  /** True when nothing of the guest is here and nothing is under way. */
  get idle(): boolean {
    return this.#run === undefined && !this.#looking
  }

  /** The guest was found running by a restarted agent. */
  async adopt(found: RunningGuest): Promise<void> {
    this.#context.log.info('found a running guest', { guest: this.#guest, epoch: found.epoch, pid: found.pid })
    const run = (this.#run = this.#newRun(found.epoch, found.disks))
    const grant = this.#context.mirror.state.grants.get(this.#guest)?.value
    // A guest that was handed over, or lost to a newer grant, must not be let go on here; the look ends it.
    if (grant && grant.epoch > found.epoch) {
      if (isRestOn(grant, this.#context.self, grant.epoch)) this.#goOnSending(run, grant.epoch)
      return this.look()
    }
    if (found.status === 'arriving') this.#expect(run)
    else {
      await this.#endMoveOfEarlierAgent(run, grant)
      await this.#heal(found)
      this.#expectRest(run)
    }
    this.look()
  }

  /** Nobody knows how far it was; before its transaction it is harmless to begin anew. */
  async #endMoveOfEarlierAgent(run: Run, grant: Grant | undefined): Promise<void> {
    const { migration, self } = this.#context
    const cancelled = await migration.cancel(this.#guest)
    if (!cancelled.ok)
      run.end = { reason: `its move could not be called off: ${cancelled.error.message}`, deposed: false }
    if (cancelled.ok && grant?.handover && grant.epoch === run.epoch)
      await takeBackHandover(this.#context, this.#guest, grant.handover.epoch, `the agent of ${self} was restarted`)
  }

  onEvent(event: GuestEvent): void {
    const run = this.#run
    if (!run) this.#early.push(event)
    if (!run || event.epoch !== run.epoch) return
    switch (event.kind) {
      case 'io-error':
        void run.disks.ioError(event.volume, event.reason, (event.hosts ?? []) as HostId[])
        break
      case 'exited':
        run.exit = event
        this.look()
        break
      case 'reset':
        run.probing.hasRebooted()
        run.hardware.hasRebooted()
        break
      case 'watchdog':
        this.#context.events.tell(watchdogEvent(this.#name(), this.#context.self, event))
        if (event.action === 'pause') this.#say('paused', 'its watchdog was not fed in time', event.epoch)
        break
    }
  }

  tick(): void {
    const run = this.#run
    if (!run) return
    run.disks.tick()
    run.probing.look()
    if (!run.snapshots.busy) run.hardware.look()
  }

  /** Looks at the facts and acts until nothing is left to do. Calls while it works only make it look once more. */
  look(): void {
    if (this.#looking) {
      this.#lookAgain = true
      return
    }
    this.#looking = true
    void this.#lookUntilQuiet()
  }

  async #lookUntilQuiet(): Promise<void> {
    do {
      this.#lookAgain = false
      try {
        await this.#step()
      } catch (error) {
        this.#context.log.error('a step of a guest failed', { guest: this.#guest, error })
        await this.#context.clock.sleep(1_000)
      }
    } while (this.#lookAgain)
    // In the same breath as the last check: a call in between would be lost.
    this.#looking = false
  }

  async #step(): Promise<void> {
    const { mirror, self } = this.#context
    if (!mirror.loaded) return
    const grant = mirror.state.grants.get(this.#guest)?.value
    const guest = mirror.state.guests.get(this.#guest)?.value
    const mine = grant !== undefined && grant.host === self && grant.state !== 'released' ? grant : undefined
    const run = this.#run
    if (run) {
      // The mirror may be behind the store; only a newer grant than ours proves that ours is over.
      const superseded = !grant || grant.epoch > run.epoch || (grant.epoch === run.epoch && !mine)
      if (run.departure && !run.departure.outcome) {
        // The newer grant may be the one that the move itself has written: then it is not over yet.
        const isItsOwn = grant?.epoch === run.departure.epoch && grant.cameFrom === self
        if (!superseded || isItsOwn) return this.#whileLeaving(run, run.departure.move, guest, grant)
        run.departure.move.drop()
      }
      if (run.departure?.outcome?.kind === 'gone') return this.#left(run)
      if (superseded || run.end?.deposed) return this.#abandon(run)
      if (!guest || grant.epoch < run.epoch) return
      if (run.exit) return this.#ended(run, run.exit)
      if (run.end) return this.#giveUp(run, run.end.reason)
      if (run.isArriving) return this.#whileComing(run, grant.cameFrom)
      if (grant.memoryOn !== undefined) this.#whileComing(run, grant.memoryOn)
      if (wantsStop(guest, grant)) return this.#stop(run, guest, grant)
      if (run.unready !== undefined) return this.#restartUnready(run, run.unready)
      // Nothing that stops it, or changes its memory, before all of that is here.
      if (grant.memoryOn !== undefined) return
      // One after the other: both stop the guest, and a snapshot lets it go on.
      if (grant.handover && !run.snapshots.busy) this.#depart(run, guest, grant, grant.handover)
      if (grant.handover) return
      if (!run.hardware.growing) run.snapshots.look()
      if (!run.snapshots.busy) run.hardware.look()
      await run.medium.keep(guest)
      return
    }
    if (!mine || !guest || mine.epoch <= this.#endedEpoch) return
    const arriving = this.#arrivals.take(this.#guest, mine.epoch)
    if (arriving) {
      this.#expect((this.#run = this.#newRun(mine.epoch, arriving)))
      for (const event of this.#early.splice(0)) this.onEvent(event)
      this.#lookAgain = true
      return
    }
    const seen = mirror.state.observations.get(this.#guest)?.value
    if (seen?.host === self && seen.epoch === mine.epoch) {
      // This epoch was begun by an earlier life of the agent and its QEMU is gone: writes may have been in flight.
      await yieldToSurvivors(this.#context, guest, mine)
      const hasBooted = seen.bootId !== undefined && seen.bootId !== bootOf(this.#context)
      const why = hasBooted ? `${self} lost its power or was booted` : 'it ended while the agent was away'
      const failures = hasBooted ? failuresAfterBoot(guest, this.#failures()) : this.#failures() + 1
      this.#tellExit(mine.epoch, why)
      await this.#leave(undefined, mine.epoch, false, why, failures)
      return
    }
    if (wantsStop(guest, mine)) {
      this.#endedEpoch = mine.epoch
      await new RunRecords(this.#context, this.#guest, mine.epoch).release(true, 'it was not running', 0)
      return
    }
    if (!isGuarded(this.#context.fence.view())) return this.#waitForGuardian()
    await this.#start(guest, mine)
  }

  async #waitForGuardian(): Promise<void> {
    await this.#context.clock.sleep(GUARDIAN_LOOK_MS)
    this.#lookAgain = true
  }

  async #start(guest: Guest, grant: Grant): Promise<void> {
    const { events, self } = this.#context
    const records = new RunRecords(this.#context, this.#guest, grant.epoch)
    const begun = await records.begin(this.#failures())
    if (begun.kind === 'deposed') {
      this.#endedEpoch = grant.epoch
      return
    }
    const startedWith = startingKey(this.#context.mirror.state, guest)
    const launched = await launchGuest(this.#context, guest, grant, records)
    if (!launched.ok) {
      this.#endedEpoch = grant.epoch
      if (launched.error.code === 'stale_epoch') return
      const reason = launched.error.message
      events.tell({
        kind: 'guest.failed',
        subject: `guest/${guest.name}`,
        message: `${guest.name} could not be started on ${self}: ${reason}`,
        details: { host: self, epoch: grant.epoch },
      })
      await this.#context.guests.kill(this.#guest)
      await this.#context.network.removeTaps(this.#guest)
      const ofStorage = launched.error.code === 'storage' || launched.error.code === 'host_unreachable'
      await records.release(!launched.ran, reason, ofStorage ? this.#storageFailures() : this.#failures() + 1)
      return
    }
    const { running, disks } = launched.value
    this.#run = this.#newRun(grant.epoch, disks, startedWith)
    for (const event of this.#early.splice(0)) this.onEvent(event)
    events.tell({
      kind: 'guest.started',
      subject: `guest/${guest.name}`,
      message: `${guest.name} runs on ${self} at epoch ${grant.epoch}`,
      details: { host: self, epoch: grant.epoch, pid: running.pid },
    })
    this.#say('running', '', grant.epoch)
    this.#lookAgain = true
  }

  #newRun(epoch: number, disks: readonly GuestDisk[], startedWith?: string): Run {
    const records = new RunRecords(this.#context, this.#guest, epoch)
    const name = this.#context.mirror.state.guests.get(this.#guest)?.value.name ?? this.#guest
    const whose = { context: this.#context, guest: this.#guest, epoch, records }
    const run: Run = {
      ...whose,
      startedMs: this.#context.clock.monotonicMs(),
      medium: new MediumKeeper(this.#context, this.#guest),
      snapshots: new RunSnapshots({
        context: this.#context,
        guest: this.#guest,
        epoch,
        disks: () => run.disks,
        onDone: () => this.look(),
      }),
      hardware: new HardwareKeeper({
        ...whose,
        startedWith,
        disks: () => run.disks,
        isOver: () => this.#run !== run || run.end !== undefined || run.exit !== undefined,
        onObserved: (hardware) => this.#report.hardware(hardware, epoch),
        mayGrow: () => !run.snapshots.busy,
      }),
      disks: new DiskKeeper({
        ...whose,
        name,
        disks,
        onEnd: (reason, deposed) => {
          run.end = { reason, deposed }
          this.look()
        },
        onPhase: (phase, reason) => this.#say(phase, reason, epoch),
        interruptMove: async (reason) => {
          await run.snapshots.interrupt(reason)
          if (run.departure && !run.departure.outcome) await run.departure.move.callOff(reason)
        },
      }),
      probing: new GuestProbing({
        context: this.#context,
        guest: this.#guest,
        epoch,
        // One that is on its way to another host may be slowed down a great deal.
        isRunning: () =>
          this.#report.phaseAt(epoch) === 'running' && !(run.departure && run.departure.outcome === undefined),
        onChange: (readiness) => this.#report.readiness(readiness, epoch),
        onRestart: (reason) => {
          run.unready = reason
          this.look()
        },
      }),
    }
    return run
  }

  #depart(run: Run, guest: Guest, grant: Grant, handover: NonNullable<Grant['handover']>): void {
    // A hand-over that was tried and taken back stays visible until the mirror has heard of it.
    if (run.departure && run.departure.epoch >= handover.epoch) return
    const onProgress = (report: MigrationReport | undefined) => this.#sayMoving(run, report)
    const move = new Departure({ context: this.#context, guest, grant, handover, disks: run.disks, onProgress })
    this.#leaveBy(run, move, handover.epoch, () => move.run())
  }

  /** Its guest runs elsewhere and needs what is here, whatever has become of the agent that let it go. */
  #goOnSending(run: Run, epoch: number): void {
    this.#leaveBy(run, NO_WAY_BACK, epoch, async () => {
      await sendRest(this.#context, this.#guest, epoch, await this.#context.migration.awaitSent(this.#guest))
      return { kind: 'gone' }
    })
  }

  #leaveBy(run: Run, move: Move, epoch: number, work: () => Promise<DepartureOutcome>): void {
    const departure: NonNullable<Run['departure']> = { move, epoch }
    run.departure = departure
    void (async () => {
      try {
        departure.outcome = await work()
      } catch (error) {
        this.#context.log.error('a move failed in an unexpected way', { guest: this.#guest, error })
        departure.outcome = { kind: 'broken', reason: 'its move failed in an unexpected way' }
      }
      const { outcome } = departure
      if (outcome.kind === 'broken') run.end = { reason: outcome.reason, deposed: false }
      if (outcome.kind === 'deposed') run.end = { reason: 'another host was granted the guest', deposed: true }
      this.look()
    })()
  }

  #whileLeaving(run: Run, move: Move, guest: Guest | undefined, grant: Grant | undefined): void {
    if (run.exit) void move.callOff('the guest ended')
    else if (run.end) void move.callOff(run.end.reason)
    else if (!guest || !grant) return
    else if (wantsStop(guest, grant)) void move.callOff('it was asked to stop')
    else if (guest.cancelledHandover === run.departure?.epoch) void move.callOff('the move was called off')
  }

  /** The guest runs elsewhere by now; what is left of it here has nothing to write and nobody to talk to. */
  async #left(run: Run): Promise<void> {
    run.probing.end()
    const killed = await this.#context.guests.kill(this.#guest)
    if (!killed.ok) throw new Error(killed.error.message, { cause: killed.error })
    await this.#context.network.removeTaps(this.#guest)
    this.#endedEpoch = run.epoch
    this.#run = undefined
    this.#lookAgain = true
  }

  /** Its disks are watched, but nothing about them is done before the guest is here. */
  #expect(run: Run): void {
    run.isArriving = true
    void run.disks.hold()
    void this.#arrive(run)
  }

  /** Of a host that is lost nothing comes any more, and its connection may stay open for long. */
  #whileComing(run: Run, from: HostId | undefined): void {
    if (from === undefined || this.#context.mirror.state.statuses.get(from)?.value.state !== 'lost') return
    run.end = { reason: `${from} was lost before all of it had come over`, deposed: false }
    this.#lookAgain = true
  }

  /** After post-copy: it runs here, and is whole only once the rest of its memory has come. */
  #expectRest(run: Run): void {
    const from = this.#context.mirror.state.grants.get(this.#guest)?.value.memoryOn
    if (from === undefined || run.end) return
    const { signal } = (run.rest = new AbortController())
    const onChange = (now: 'coming' | 'interrupted') =>
      now === 'interrupted'
        ? this.#say('paused', `the rest of its memory is on ${from}, which cannot be reached`, run.epoch)
        : this.#say('running', '', run.epoch)
    void awaitRest(this.#context, this.#guest, onChange, signal).then(async (why) => {
      if (signal.aborted) return
      if (why === undefined) await run.records.hasAllMemory()
      else run.end ??= { reason: why, deposed: false }
      this.look()
    })
  }

  /** The grant is ours; the last of the guest's state is on its way, or already here. */
  async #arrive(run: Run): Promise<void> {
    // A leg that fails meanwhile has its turn afterwards: to deal with it ends in letting the guest go on.
    const arrived = await run.disks.exclusively(async () => {
      const here = await this.#context.migration.awaitArrival(this.#guest, ARRIVAL_MS_MAX)
      if (here.ok) await this.#context.clock.sleep(FIRST_STEPS_MS)
      return here
    })
    run.isArriving = false
    if (this.#run !== run) return
    if (!arrived.ok) {
      run.end ??= { reason: `it did not come over: ${arrived.error.message}`, deposed: false }
      return this.look()
    }
    run.disks.release()
    await this.#heal(arrived.value)
    this.#expectRest(run)
    this.look()
  }

  /** After an agent's crash the graph and the record may be one step apart; the record's word counts. */
  async #heal(found: RunningGuest): Promise<void> {
    const { mirror, guests } = this.#context
    const run = this.#run
    if (!run) return
    const broken = await healLegs(this.#context, run, run.epoch, found)
    if (broken !== undefined) run.end ??= { reason: broken, deposed: false }
    if (run.end) return
    if (found.status === 'paused') {
      // Its agent may have ended after it had brought the guest's memory back, and before it let the guest go on.
      const spent = mirror.state.guests.get(this.#guest)?.value.resumeFrom && (await run.records.spendMemory())
      if (!spent || spent.kind === 'recorded') await guests.resume(this.#guest)
      else run.end = { reason: 'another host was granted the guest', deposed: true }
    }
    // Its own report of the error may have come before anybody listened.
    if (found.status === 'io-error')
      for (const { volume } of found.disks) void run.disks.ioError(volume, 'a request failed without an agent', [])
    this.#say(found.status === 'io-error' ? 'paused' : 'running', '', run.epoch)
  }

  async #stop(run: Run, guest: Guest, grant: Grant): Promise<void> {
    const { guests, clock, mirror, events, self } = this.#context
    this.#say('stopping', '', run.epoch)
    const startedMs = clock.monotonicMs()
    let askedMs = -Infinity
    const impatient = () => {
      const now = mirror.state.guests.get(this.#guest)?.value
      return now === undefined || now.forceStop || now.deleting
    }
    const patienceMs = guest.shutdownTimeoutMs ?? SHUTDOWN_PATIENCE_MS
    while (!run.exit && !run.end && !impatient() && clock.monotonicMs() - startedMs < patienceMs) {
      if (clock.monotonicMs() - askedMs >= SHUTDOWN_REPEAT_MS) {
        askedMs = clock.monotonicMs()
        await guests.requestShutdown(this.#guest)
      }
      await clock.sleep(50)
    }
    endKeepers(run)
    const clean = await this.#switchOff(run)
    this.#endedEpoch = run.epoch
    this.#run = undefined
    const why = grant.state === 'recalled' ? grant.reason : 'it was asked to stop'
    await run.records.release(clean, why, 0)
    await this.#context.network.removeTaps(this.#guest)
    events.tell({
      kind: 'guest.stopped',
      subject: `guest/${guest.name}`,
      message: `${guest.name} stopped on ${self}: ${why}`,
      details: { host: self, epoch: run.epoch, clean, tookMs: Math.round(clock.monotonicMs() - startedMs) },
    })
    this.#lookAgain = true
  }

  /** Ends QEMU in order, or at once where that cannot work. True when the last write is on all legs. */
  async #switchOff(run: Run): Promise<boolean> {
    const { guests } = this.#context
    if (run.exit) return run.exit.flushed === true
    if (!run.end) {
      // After what was under way on its disks: that ends in letting the guest go on, and a guest that writes between its
      // last flush and its end has not ended clean.
      const quit = await run.disks.exclusively(() => guests.quit(this.#guest))
      if (quit.ok) return quit.value.flushed
    }
    const killed = await guests.kill(this.#guest)
    if (!killed.ok) throw new Error(killed.error.message, { cause: killed.error })
    return false
  }

  /** QEMU ended without being asked. */
  async #ended(run: Run, exit: Extract<GuestEvent, { kind: 'exited' }>): Promise<void> {
    const shutDown = exit.cause === 'guest-shutdown'
    this.#tellExit(run.epoch, exit.reason)
    await this.#leave(
      run,
      run.epoch,
      exit.flushed === true,
      shutDown ? 'the guest shut itself down' : exit.reason,
      shutDown ? 0 : this.#failures(run) + 1,
    )
  }

  #tellExit(epoch: number, reason: string): void {
    const { events, self } = this.#context
    events.tell({
      kind: 'guest.exited',
      subject: `guest/${this.#name()}`,
      message: `${this.#name()} ended on ${self}: ${reason}`,
      details: { host: self, epoch },
    })
  }

  async #giveUp(run: Run, reason: string): Promise<void> {
    const { events, self } = this.#context
    events.tell({
      kind: 'guest.failed',
      subject: `guest/${this.#name()}`,
      message: `${this.#name()} is taken off ${self}: ${reason}`,
      details: { host: self, epoch: run.epoch },
    })
    await this.#leave(run, run.epoch, false, reason, this.#storageFailures(run))
  }

  /** It runs and does not do what it is for. Its last writes are flushed all the same, if that still works. */
  async #restartUnready(run: Run, reason: string): Promise<void> {
    const { events, self } = this.#context
    const why = `its probe failed: ${reason}`
    events.tell({
      kind: 'guest.failed',
      subject: `guest/${this.#name()}`,
      message: `${this.#name()} is ended on ${self} to be restarted: ${why}`,
      details: { host: self, epoch: run.epoch },
    })
    const clean = await this.#switchOff(run)
    await this.#leave(run, run.epoch, clean, why, this.#failures(run) + 1)
  }

  async #leave(run: Run | undefined, epoch: number, clean: boolean, reason: string, failures: number): Promise<void> {
    if (run) endKeepers(run)
    const killed = await this.#context.guests.kill(this.#guest)
    if (!killed.ok) throw new Error(killed.error.message, { cause: killed.error })
    this.#endedEpoch = epoch
    this.#run = undefined
    await this.#context.network.removeTaps(this.#guest)
    await new RunRecords(this.#context, this.#guest, epoch).release(clean, reason, failures)
    this.#lookAgain = true
  }

  /** Another host was granted the guest: whatever is left here ends, and nothing is written. */
  async #abandon(run: Run): Promise<void> {
    const { guests, network, log } = this.#context
    endKeepers(run)
    const killed = await guests.kill(this.#guest)
    if (!killed.ok) throw new Error(killed.error.message, { cause: killed.error })
    await network.removeTaps(this.#guest)
    log.warn('a superseded run was ended', { guest: this.#guest, epoch: run.epoch })
    this.#endedEpoch = run.epoch
    this.#run = undefined
    this.#lookAgain = true
  }

  #failures(run?: Run): number {
    const seen = this.#context.mirror.state.observations.get(this.#guest)?.value
    // A guest that has a probe must have been ready for long: one that only boots each time has proved nothing.
    if (run && (run.probing.isProven ?? this.#context.clock.monotonicMs() - run.startedMs > STABLE_MS)) return 0
    return seen?.failures ?? 0
  }

  /**
   * How many failures to record when it was the storage that failed. That is no fault of the guest: such failures slow
   * the next tries down, but alone they never end them, since the storage may come back at any time.
   */
  #storageFailures(run?: Run): number {
    const known = this.#failures(run)
    const guest = this.#context.mirror.state.guests.get(this.#guest)?.value
    return Math.max(known, Math.min(known + 1, guest ? failuresMax(guest) - 2 : known))
  }

  #name(): string {
    return this.#context.mirror.state.guests.get(this.#guest)?.value.name ?? this.#guest
  }

  #sayMoving(run: Run, migration: MigrationReport | undefined): void {
    if (this.#run === run && !run.exit && !run.end) this.#say('running', '', run.epoch, migration)
  }

  #say(phase: GuestObservation['phase'], reason: string, epoch: number, migration?: MigrationReport): void {
    this.#report.say({ phase, reason, epoch, ...(migration ? { migration } : {}) })
  }
}

/** Nothing is done for it any more. */
function endKeepers({ disks, probing, rest }: Run): void {
  disks.end()
  probing.end()
  rest?.abort()
}

function wantsStop(guest: Guest, grant: Grant): boolean {
  return guest.deleting || guest.desired === 'stopped' || grant.state === 'recalled'
}
