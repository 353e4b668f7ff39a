/** `GuestAgent` for containers: nothing has to run in them for it, since their host sees into them anyway. */
import { failure } from '@stead/core/errors.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import {
  FREEZE_MS_MAX,
  type GuestAgent,
  type GuestCommand,
  type GuestCommandOutcome,
  type GuestInterface,
  type GuestSystem,
} from '@stead/core/ports/guest-agent.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ContainerRun } from './container-run.ts'

const OUTPUT_BYTES_MAX = 4 << 20
/** Asked of programs that answer at once. */
const QUESTION = { timeoutMs: 5_000, outputBytesMax: 64 << 10 }

export class ContainerAgent implements GuestAgent {
  readonly #runOf: (guest: GuestId) => Result<ContainerRun>
  /** Until when the file systems of a container stay frozen. */
  readonly #frozen = new Map<GuestId, NodeJS.Timeout>()

  constructor(runOf: (guest: GuestId) => Result<ContainerRun>) {
    this.#runOf = runOf
  }

  async ping(guest: GuestId): Promise<Result<void>> {
    const run = this.#runOf(guest)
    if (!run.ok) return run
    return run.value.lxc.initPid() === undefined ? fail(failure('no_guest_agent', 'Its init does not run')) : ok()
  }

  async system(guest: GuestId): Promise<Result<GuestSystem>> {
    const run = this.#runOf(guest)
    if (!run.ok) return run
    const script = '. /etc/os-release 2>/dev/null; echo "$PRETTY_NAME"; uname -r; hostname'
    const told = await run.value.lxc.exec(['/bin/sh', '-c', script], QUESTION)
    if (!told.ok) return told
    const [system = '', kernel = '', hostname = ''] = told.value.stdout.toString().split('\n')
    return ok({ system, kernel, hostname, agentVersion: 'container' })
  }

  async interfaces(guest: GuestId): Promise<Result<readonly GuestInterface[]>> {
    const run = this.#runOf(guest)
    if (!run.ok) return run
    const found = await run.value.lxc.addresses()
    if (!found.ok) return found
    const interfaces = new Map<string, { name: string; mac: string; addresses: string[] }>()
    for (const { interface: name, mac, address } of found.value) {
      const known = interfaces.get(name) ?? { name, mac, addresses: [] }
      known.addresses.push(address)
      interfaces.set(name, known)
    }
    return ok([...interfaces.values()])
  }

  async freeze(guest: GuestId, boundMs: number): Promise<Result<{ readonly fileSystems: number }>> {
    const run = this.#runOf(guest)
    if (!run.ok) return run
    if (this.#frozen.has(guest)) return fail(failure('conflict', 'Its file systems are frozen already'))
    const frozen = await run.value.freeze()
    if (!frozen.ok) {
      await run.value.thaw()
      return frozen
    }
    const timer = setTimeout(() => void this.thaw(guest), Math.min(boundMs, FREEZE_MS_MAX)).unref()
    this.#frozen.set(guest, timer)
    return ok({ fileSystems: run.value.diskCount })
  }

  async thaw(guest: GuestId): Promise<Result<{ readonly held: boolean }>> {
    const timer = this.#frozen.get(guest)
    clearTimeout(timer)
    this.#frozen.delete(guest)
    const run = this.#runOf(guest)
    if (!run.ok) return run
    const thawed = await run.value.thaw()
    return thawed.ok ? ok({ held: timer !== undefined }) : thawed
  }

  async freezeStatus(guest: GuestId): Promise<Result<'frozen' | 'thawed'>> {
    return ok(this.#frozen.has(guest) ? 'frozen' : 'thawed')
  }

  async shutdown(guest: GuestId): Promise<Result<void>> {
    const run = this.#runOf(guest)
    return run.ok ? run.value.lxc.requestShutdown() : run
  }

  async execute(guest: GuestId, { command, input, timeoutMs }: GuestCommand): Promise<Result<GuestCommandOutcome>> {
    const run = this.#runOf(guest)
    if (!run.ok) return run
    const stdin = input === undefined ? undefined : Buffer.from(input)
    const ended = await run.value.lxc.exec(command, { timeoutMs, outputBytesMax: OUTPUT_BYTES_MAX }, stdin)
    if (!ended.ok) return ended
    const { code, stdout, stderr, truncated } = ended.value
    return ok({ exitCode: code, stdout: stdout.toString(), stderr: stderr.toString(), truncated })
  }
}
