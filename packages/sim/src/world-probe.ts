/** `GuestProbe` of a simulated host: a guest is ready a while after its process began, unless a command says otherwise. */
import type { ProbeOutcome } from '@stead/core/ha/readiness.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { ProbeCheck } from '@stead/core/model/probe.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { GuestProbe } from '@stead/core/ports/guest-probe.ts'
import type { GuestFaults } from './guest-faults.ts'
import type { MemoryMachine, Process } from './memory-machine.ts'

/** From the start of QEMU to the first answer of what the guest is for. */
const BOOT_MS = 2_000

export class WorldProbe implements GuestProbe {
  readonly #machine: MemoryMachine
  readonly #faults: GuestFaults
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #seen = new Map<GuestId, { readonly process: Process; readonly sinceMs: number }>()

  constructor(machine: MemoryMachine, faults: GuestFaults, clock: Pick<Clock, 'monotonicMs'>) {
    this.#machine = machine
    this.#faults = faults
    this.#clock = clock
  }

  async attempt(guest: GuestId, _check: ProbeCheck, _timeoutMs: number): Promise<ProbeOutcome> {
    const process = this.#machine.processes.get(guest)
    if (!process) return { succeeded: false, reason: 'it has no process' }
    if (this.#faults.isUnready(guest)) return { succeeded: false, reason: 'it does not answer' }
    const known = this.#seen.get(guest)
    // One that came over live has booted elsewhere.
    const bootedMs = process.cameOver ? -Infinity : this.#clock.monotonicMs()
    const sinceMs = known?.process === process ? known.sinceMs : bootedMs
    this.#seen.set(guest, { process, sinceMs })
    if (this.#clock.monotonicMs() - sinceMs < BOOT_MS) return { succeeded: false, reason: 'it is booting' }
    return { succeeded: true }
  }

  hasRebooted(guest: GuestId): void {
    this.#seen.delete(guest)
  }

  forget(guest: GuestId): void {
    this.#seen.delete(guest)
  }
}
