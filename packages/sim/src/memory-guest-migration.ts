/** `GuestMigration` in memory, over the processes of a `MemoryMachine`; what happens in between is a `MemoryTransfer`. */
import { failure } from '@stead/core/errors.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { GuestLaunch, RunningGuest } from '@stead/core/ports/guest-host.ts'
import type {
  ArrivalEndpoint,
  GuestMigration,
  MigrationLimits,
  MigrationProgress,
  RestEndpoint,
} from '@stead/core/ports/guest-migration.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { breakConnection } from './leg-servers.ts'
import { describe } from './memory-guest-host.ts'
import { giveUpWriting } from './memory-guest-memory.ts'
import type { MemoryMachine, Process } from './memory-machine.ts'
import { MemoryTransfer } from './memory-transfer.ts'
import type { TransferRoutes, WaitingPlace } from './transfer-places.ts'

const FIRST_PORT = 49_152
const NOTHING_SENT: MigrationProgress = {
  ...{ phase: 'none', totalBytes: 0, transferredBytes: 0, remainingBytes: 0, dirtyBytesPerSecond: 0 },
  ...{ bandwidthBytesPerSecond: 0, throttlePercent: 0, expectedDowntimeMs: 0, passes: 0 },
}

/** All that wait for guests, in all machines that can reach each other. */
export class WaitingPlaces {
  readonly #places = new Map<number, WaitingPlace>()

  add(place: Omit<WaitingPlace, 'port'>): WaitingPlace {
    const added = { ...place, port: FIRST_PORT + this.#places.size }
    this.#places.set(added.port, added)
    return added
  }

  at(port: number): WaitingPlace | undefined {
    return this.#places.get(port)
  }
}

export interface MemoryGuestMigrationOptions {
  readonly host: string
  readonly machine: MemoryMachine
  readonly places: WaitingPlaces
  readonly routes: TransferRoutes
}

export class MemoryGuestMigration implements GuestMigration {
  readonly #options: MemoryGuestMigrationOptions

  constructor(options: MemoryGuestMigrationOptions) {
    this.#options = options
  }

  async receive(launch: GuestLaunch, at: Parameters<GuestMigration['receive']>[1]): Promise<Result<ArrivalEndpoint>> {
    const { machine, places, host } = this.#options
    const spawned = machine.spawn(launch, 'arriving')
    if (!spawned.ok) return spawned
    const process = spawned.value
    const postCopy = at.postCopy === true && launch.container === undefined
    process.waiting = places.add({ host, machine, process, secret: at.secret, postCopy })
    const endpoint = { address: at.address, port: process.waiting.port, secret: at.secret }
    if (launch.container) return ok({ ...endpoint, postCopyRefusal: 'a container moves while it stands still' })
    return ok(at.postCopy ? endpoint : { ...endpoint, postCopyRefusal: 'it was not asked to' })
  }

  async awaitArrival(guest: GuestId, timeoutMs: number): Promise<Result<RunningGuest>> {
    const { machine, routes } = this.#options
    const process = machine.processes.get(guest)
    if (!process) return this.#notHere(guest)
    return new Promise((resolve) => {
      const settle = (result: Result<RunningGuest>) => {
        off()
        offArrival()
        cancel()
        resolve(result)
      }
      const off = machine.onEvent((event) => {
        if (event.kind === 'exited' && machine.processes.get(guest) !== process)
          settle(fail(failure('hypervisor', `QEMU gave up waiting for the guest: ${event.reason}`)))
      })
      const offArrival = machine.onArrival((arrived) => arrived === process && settle(ok(describe(process))))
      const cancel = routes.after(timeoutMs, () =>
        settle(fail(failure('timeout', `Nothing came of the migration in ${Math.round(timeoutMs / 1000)} s`))),
      )
      if (process.status !== 'arriving') settle(ok(describe(process)))
    })
  }

  async launchOf(guest: GuestId): Promise<Result<GuestLaunch>> {
    return this.#with(guest, (process) => ok({ ...process.launch, disks: describe(process).disks }))
  }

  async send(guest: GuestId, to: ArrivalEndpoint, limits: MigrationLimits): Promise<Result<void>> {
    const { machine, places, routes, host } = this.#options
    return this.#with(guest, (process) => {
      if (process.transfer?.isUnderWay) return fail(failure('conflict', 'The guest is already on its way to a host'))
      const place = places.at(to.port)
      process.transfer = new MemoryTransfer({ host, machine, process }, place, to.secret, limits, routes)
      return ok()
    })
  }

  async awaitStandstill(guest: GuestId, signal: AbortSignal): Promise<Result<void>> {
    return this.#withTransfer(guest, (transfer) => transfer.awaitStandstill(signal))
  }

  async progress(guest: GuestId): Promise<Result<MigrationProgress>> {
    return this.#with(guest, (process) => ok(process.transfer?.progress() ?? NOTHING_SENT))
  }

  async startPostCopy(guest: GuestId): Promise<Result<void>> {
    return this.#withTransfer(guest, async (transfer) => transfer.startPostCopy())
  }

  async relinquishDisks(guest: GuestId): Promise<Result<void>> {
    return this.#with(guest, (process) => {
      if (process.transfer?.isUnderWay) return process.transfer.relinquish()
      if (process.status === 'running') return fail(failure('conflict', 'The guest runs; it would lose its disks'))
      for (const { connections } of process.disks.values()) for (const each of connections) breakConnection(each)
      return ok()
    })
  }

  async complete(guest: GuestId): ReturnType<GuestMigration['complete']> {
    return this.#withTransfer(guest, (transfer) => transfer.complete())
  }

  async awaitSent(guest: GuestId): ReturnType<GuestMigration['awaitSent']> {
    return this.#withTransfer(guest, (transfer) => transfer.awaitSent())
  }

  async receiveRest(guest: GuestId, address: string): ReturnType<GuestMigration['receiveRest']> {
    const { host, machine, places } = this.#options
    return this.#with(guest, (process) => {
      if (!process.memory || process.memory.state === 'here')
        return fail(failure('hypervisor', 'All of the guest is here'))
      process.memory.set('interrupted')
      process.waiting = places.add({ host, machine, process, secret: process.waiting?.secret ?? '', postCopy: true })
      return ok({ address, port: process.waiting.port })
    })
  }

  async resume(guest: GuestId, to: RestEndpoint): Promise<Result<void>> {
    return this.#withTransfer(guest, async (transfer) => transfer.resume(this.#options.places.at(to.port)))
  }

  async awaitMemory(...[guest, known, signal]: Parameters<GuestMigration['awaitMemory']>) {
    const { machine } = this.#options
    const process = machine.processes.get(guest)
    if (!process) return this.#notHere(guest)
    const gone = new AbortController()
    const off = machine.onEvent(() => machine.processes.get(guest) !== process && gone.abort())
    const state = (await process.memory?.otherThan(known, AbortSignal.any([signal, gone.signal]))) ?? 'here'
    off()
    if (gone.signal.aborted) return fail(failure('hypervisor', 'QEMU has ended'))
    return signal.aborted ? fail(failure('timeout', 'Nobody waits for the memory any more')) : ok(state)
  }

  async cancel(guest: GuestId): Promise<Result<void>> {
    return this.#with(guest, (process) => {
      // Nobody reads the image any more.
      giveUpWriting(process, this.#options.machine)
      return process.transfer?.cancel() ?? ok()
    })
  }

  #with<T>(guest: GuestId, work: (process: Process) => Result<T>): Result<T> {
    const process = this.#options.machine.processes.get(guest)
    return process ? work(process) : this.#notHere(guest)
  }

  async #withTransfer<T>(guest: GuestId, work: (transfer: MemoryTransfer) => Promise<Result<T>>): Promise<Result<T>> {
    const found = this.#with(guest, (process) =>
      process.transfer ? ok(process.transfer) : fail(failure('conflict', 'Nothing of the guest was sent')),
    )
    return found.ok ? work(found.value) : found
  }

  #notHere(guest: GuestId): Result<never> {
    return fail(failure('not_found', `Guest ${guest} does not run here`))
  }
}
