/**
 * `GuestAgent` in memory: the agents inside the guests of a `MemoryMachine`. A frozen guest finishes what it has begun
 * and writes nothing new. What an earlier agent of the host left frozen is thawed when its successor begins.
 */
import { failure } from '@stead/core/errors.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import {
  FREEZE_MS_MAX,
  type GuestAgent,
  type GuestCommand,
  type GuestCommandOutcome,
  type GuestInterface,
  type GuestSystem,
} from '@stead/core/ports/guest-agent.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { MemoryMachine, Process } from './memory-machine.ts'

const SYSTEM = { system: 'Debian GNU/Linux 12 (bookworm)', kernel: '6.1.0-40-amd64', agentVersion: '7.2.17' }

export interface MemoryGuestAgentOptions {
  readonly machine: MemoryMachine
  readonly clock: Clock
  /** Guests without an agent inside; all have one when absent. */
  readonly isWithout?: (guest: GuestId) => boolean
}

export class MemoryGuestAgent implements GuestAgent {
  readonly #options: MemoryGuestAgentOptions
  /** By guest: ends the wait for the bound of its freeze. */
  readonly #freezes = new Map<GuestId, AbortController>()

  constructor(options: MemoryGuestAgentOptions) {
    this.#options = options
    for (const process of options.machine.processes.values()) this.#thawProcess(process)
  }

  async ping(guest: GuestId): Promise<Result<void>> {
    const found = this.#find(guest)
    return found.ok ? ok() : found
  }

  async system(guest: GuestId): Promise<Result<GuestSystem>> {
    const found = this.#find(guest)
    return found.ok ? ok({ ...SYSTEM, hostname: found.value.launch.name }) : found
  }

  async interfaces(guest: GuestId): Promise<Result<readonly GuestInterface[]>> {
    const found = this.#find(guest)
    if (!found.ok) return found
    return ok(found.value.launch.nics.map(({ mac }, index) => ({ name: `eth${index}`, mac, addresses: [] })))
  }

  async freeze(guest: GuestId, boundMs: number): Promise<Result<{ readonly fileSystems: number }>> {
    const found = this.#find(guest)
    if (!found.ok) return found
    if (found.value.isFrozen) return fail(failure('conflict', 'The file systems of the guest are frozen already'))
    found.value.isFrozen = true
    const thawed = new AbortController()
    this.#freezes.set(guest, thawed)
    void this.#options.clock.sleep(Math.min(boundMs, FREEZE_MS_MAX), thawed.signal).then(() => {
      if (this.#freezes.get(guest) !== thawed) return
      this.#freezes.delete(guest)
      this.#thawProcess(found.value)
    })
    return ok({ fileSystems: found.value.disks.size })
  }

  async thaw(guest: GuestId): Promise<Result<{ readonly held: boolean }>> {
    const found = this.#find(guest)
    if (!found.ok) return found
    const freeze = this.#freezes.get(guest)
    this.#freezes.delete(guest)
    freeze?.abort()
    const held = freeze !== undefined && found.value.isFrozen === true
    this.#thawProcess(found.value)
    return ok({ held })
  }

  async freezeStatus(guest: GuestId): Promise<Result<'frozen' | 'thawed'>> {
    const found = this.#find(guest)
    return found.ok ? ok(found.value.isFrozen ? 'frozen' : 'thawed') : found
  }

  async shutdown(guest: GuestId): Promise<Result<void>> {
    const found = this.#find(guest)
    if (!found.ok) return found
    queueMicrotask(() => void this.#options.machine.shutDown(found.value))
    return ok()
  }

  /** Knows `true`, `false`, `cat` and `echo`. */
  async execute(guest: GuestId, { command, input = '' }: GuestCommand): Promise<Result<GuestCommandOutcome>> {
    const found = this.#find(guest)
    if (!found.ok) return found
    const [path = '', ...args] = command
    const name = path.split('/').at(-1)
    const said = name === 'echo' ? `${args.join(' ')}\n` : name === 'cat' ? input : ''
    if (name !== undefined && ['true', 'false', 'cat', 'echo'].includes(name))
      return ok({ exitCode: name === 'false' ? 1 : 0, stdout: said, stderr: '', truncated: false })
    return fail(failure('conflict', `The agent inside the guest refuses: ${path}: no such file`))
  }

  #thawProcess(process: Process): void {
    if (!process.isFrozen) return
    process.isFrozen = false
    this.#options.machine.runGuests()
  }

  #find(guest: GuestId): Result<Process> {
    const process = this.#options.machine.processes.get(guest)
    if (!process) return fail(failure('not_found', `Guest ${guest} does not run here`))
    if (this.#options.isWithout?.(guest)) return fail(failure('no_guest_agent', 'No agent answers inside the guest'))
    return ok(process)
  }
}
