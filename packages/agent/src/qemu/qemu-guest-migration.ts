/** `GuestMigration` on QEMU: finds the guest's process; what is said to it is in `migration-source.ts` and `migration-destination.ts`. */
import type { GuestId } from '@stead/core/model/ids.ts'
import type { GuestLaunch, RunningGuest } from '@stead/core/ports/guest-host.ts'
import type {
  ArrivalEndpoint,
  GuestMigration,
  MigrationLimits,
  RestEndpoint,
} from '@stead/core/ports/guest-migration.ts'
import type { Result } from '@stead/core/result.ts'
import { INCOMING_ARGUMENTS, type ListenAt } from './migration-destination.ts'
import type { QemuGuest } from './running-guest.ts'

/** What it needs of the host's processes. */
export interface GuestProcesses {
  /** Starts a QEMU that waits, in the place of whatever the guest had here at an older epoch or at this one. */
  readonly await: (launch: GuestLaunch, moreArguments: readonly string[]) => Promise<Result<RunningGuest>>
  readonly kill: (guest: GuestId) => Promise<Result<void>>
  readonly with: <T>(guest: GuestId, work: (running: QemuGuest) => Promise<Result<T>>) => Promise<Result<T>>
  /** Nothing is told of what the guest's processes do meanwhile: one that was never a run has not ended either. */
  readonly quietly: <T>(guest: GuestId, work: () => Promise<T>) => Promise<T>
  /** After all that was begun for the guest before. */
  readonly inTurn: <T>(guest: GuestId, work: () => Promise<T>) => Promise<T>
}

export class QemuGuestMigration implements GuestMigration {
  readonly #processes: GuestProcesses
  readonly #preparePostCopy: () => Promise<void>

  constructor(processes: GuestProcesses, preparePostCopy: () => Promise<void> = async () => undefined) {
    this.#processes = processes
    this.#preparePostCopy = preparePostCopy
  }

  receive(launch: GuestLaunch, at: ListenAt): Promise<Result<ArrivalEndpoint>> {
    const { guest } = launch
    return this.#processes.inTurn(guest, async () => {
      if (at.postCopy) await this.#preparePostCopy()
      const waiting = await this.#processes.await(launch, INCOMING_ARGUMENTS)
      if (!waiting.ok) return waiting
      const listening = await this.#processes.with(guest, (running) => running.arrival.listen(at))
      if (!listening.ok) await this.#processes.kill(guest)
      return listening
    })
  }

  send(guest: GuestId, to: ArrivalEndpoint, limits: MigrationLimits): Promise<Result<void>> {
    return this.#processes.inTurn(guest, () =>
      this.#processes.with(guest, (running) => running.departure.send(to, limits)),
    )
  }

  // The rest is not in turn: it may take long, and the guest can be killed meanwhile.

  awaitArrival(guest: GuestId, timeoutMs: number): Promise<Result<RunningGuest>> {
    return this.#processes.with(guest, (running) => running.awaitArrival(timeoutMs))
  }

  launchOf(guest: GuestId): Promise<Result<GuestLaunch>> {
    return this.#processes.with(guest, (running) => running.launchOf())
  }

  awaitStandstill(guest: GuestId, signal: AbortSignal): Promise<Result<void>> {
    return this.#processes.with(guest, (running) => running.departure.awaitStandstill(signal))
  }

  progress(guest: GuestId): ReturnType<GuestMigration['progress']> {
    return this.#processes.with(guest, (running) => running.departure.progress())
  }

  startPostCopy(guest: GuestId): Promise<Result<void>> {
    return this.#processes.with(guest, (running) => running.departure.startPostCopy())
  }

  relinquishDisks(guest: GuestId): Promise<Result<void>> {
    return this.#processes.with(guest, (running) => running.departure.relinquishDisks())
  }

  complete(guest: GuestId): ReturnType<GuestMigration['complete']> {
    return this.#processes.with(guest, (running) => running.departure.complete())
  }

  awaitSent(guest: GuestId): ReturnType<GuestMigration['awaitSent']> {
    return this.#processes.with(guest, (running) => running.departure.awaitSent())
  }

  receiveRest(guest: GuestId, address: string): ReturnType<GuestMigration['receiveRest']> {
    return this.#processes.with(guest, (running) => running.arrival.listenAgain(address))
  }

  resume(guest: GuestId, to: RestEndpoint): Promise<Result<void>> {
    return this.#processes.with(guest, (running) => running.departure.resume(to))
  }

  awaitMemory(...[guest, known, signal]: Parameters<GuestMigration['awaitMemory']>) {
    return this.#processes.with(guest, (running) => running.arrival.awaitMemory(known, signal))
  }

  cancel(guest: GuestId): Promise<Result<void>> {
    return this.#processes.with(guest, (running) => running.departure.cancel())
  }
}
