/**
 * `GuestAgent` on QEMU's guest agent. Each call is a conversation of its own (QEMU lets one client at a time onto the
 * channel), so nothing needs to be kept or healed between calls. A freeze leaves a note in the guest's folder until
 * it is over, by which a restarted agent knows whom to thaw.
 */
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
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
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { GuestAgentChannel, noAgent } from './guest-agent-channel.ts'
import type { GuestFolder } from './launch-record.ts'

/** An agent answers in milliseconds; a guest whose processors are busy needs longer. */
const ANSWER_MS = 2_000
/** A freeze waits for the guest's disks to take all that is dirty. */
const FREEZE_ANSWER_MS = 20_000
/** A guest that is asked to power off may be gone before it answers; one that refuses says so at once. */
const SHUTDOWN_ANSWER_MS = 300
const EXEC_POLL_MS = 100
const THAW_RETRY_MS = 500

export interface QemuGuestAgentOptions {
  readonly folder: (guest: GuestId) => GuestFolder
  /** Whether the guest holds its end of the channel open: asked of QEMU, so that an absent agent costs no wait. */
  readonly isListening: (guest: GuestId) => Promise<Result<boolean>>
  readonly log: Log
}

export class QemuGuestAgent implements GuestAgent {
  readonly #options: QemuGuestAgentOptions
  /** The last conversation of each guest: one at a time. */
  readonly #queues = new Map<GuestId, Promise<unknown>>()
  readonly #freezes = new Map<GuestId, NodeJS.Timeout>()
  #closed = false

  constructor(options: QemuGuestAgentOptions) {
    this.#options = options
  }

  async ping(guest: GuestId): Promise<Result<void>> {
    const answer = await this.#call(guest, 'guest-ping')
    return answer.ok ? ok() : answer
  }

  system(guest: GuestId): Promise<Result<GuestSystem>> {
    return this.#talk(guest, async (channel) => {
      const version = await channel.execute('guest-info', undefined, ANSWER_MS)
      if (!version.ok) return version
      // Each of these may be missing in an agent that is older or stripped down; what is known is told.
      const os = await channel.execute('guest-get-osinfo', undefined, ANSWER_MS)
      const name = await channel.execute('guest-get-host-name', undefined, ANSWER_MS)
      const told = (answer: Result<unknown>, field: string) => (answer.ok ? textIn(answer.value, field) : '')
      return ok({
        system: told(os, 'pretty-name') || told(os, 'name'),
        kernel: told(os, 'kernel-release'),
        hostname: told(name, 'host-name'),
        agentVersion: told(version, 'version'),
      })
    })
  }

  async interfaces(guest: GuestId): Promise<Result<readonly GuestInterface[]>> {
    const answer = await this.#call(guest, 'guest-network-get-interfaces')
    return answer.ok ? ok(interfacesIn(answer.value)) : answer
  }

  async freeze(guest: GuestId, boundMs: number): Promise<Result<{ readonly fileSystems: number }>> {
    const note = this.#options.folder(guest).frozenNote
    if (existsSync(note)) return fail(failure('conflict', 'The file systems of the guest are frozen already'))
    const listening = await this.#listening(guest)
    if (!listening.ok) return listening
    try {
      // Before the guest hears of it: an agent that is killed in between thaws one time too often.
      writeFileSync(note, '')
    } catch (cause) {
      return fail(failure('internal', `Cannot write ${note}`, { cause }))
    }
    const answer = await this.#call(guest, 'guest-fsfreeze-freeze', undefined, FREEZE_ANSWER_MS)
    if (!answer.ok || typeof answer.value !== 'number') {
      // It may have been frozen all the same, or half.
      await this.#thawUntilDone(guest)
      return answer.ok ? fail(noAgent('it does not say what it froze', answer.value)) : answer
    }
    const timer = setTimeout(
      () => {
        this.#freezes.delete(guest)
        this.#options.log.warn('the file systems of a guest are thawed: they were frozen for long enough', { guest })
        void this.#thawUntilDone(guest)
      },
      Math.min(boundMs, FREEZE_MS_MAX),
    )
    this.#freezes.set(guest, timer)
    return ok({ fileSystems: answer.value })
  }

  async thaw(guest: GuestId): Promise<Result<{ readonly held: boolean }>> {
    const timer = this.#freezes.get(guest)
    const thawed = await this.#thawOnce(guest)
    if (!thawed.ok) return thawed
    const held = timer !== undefined && this.#freezes.get(guest) === timer
    if (held) {
      clearTimeout(timer)
      this.#freezes.delete(guest)
    }
    // The count is 0 when somebody inside the guest has thawed it before us.
    return ok({ held: held && thawed.value > 0 })
  }

  async freezeStatus(guest: GuestId): Promise<Result<'frozen' | 'thawed'>> {
    const answer = await this.#call(guest, 'guest-fsfreeze-status')
    if (!answer.ok) return answer
    return ok(answer.value === 'thawed' ? 'thawed' : 'frozen')
  }

  async shutdown(guest: GuestId): Promise<Result<void>> {
    return this.#talk(guest, async (channel) => {
      const answer = await channel.execute('guest-shutdown', { mode: 'powerdown' }, SHUTDOWN_ANSWER_MS)
      // It answers only to refuse: silence, or the end of the channel, is what was hoped for and comes without a cause.
      return answer.ok || answer.error.cause === undefined ? ok() : answer
    })
  }

  async execute(guest: GuestId, { command, input, timeoutMs }: GuestCommand): Promise<Result<GuestCommandOutcome>> {
    const deadline = performance.now() + timeoutMs
    const [path, ...arg] = command
    const begun = await this.#call(guest, 'guest-exec', {
      path,
      arg,
      'capture-output': true,
      ...(input === undefined ? {} : { 'input-data': Buffer.from(input).toString('base64') }),
    })
    if (!begun.ok) return begun
    const pid = (begun.value as { readonly pid?: number }).pid
    for (;;) {
      const status = await this.#call(guest, 'guest-exec-status', { pid })
      if (!status.ok) return status
      const outcome = status.value as ExecStatus
      if (outcome.exited) return ok(outcomeOf(outcome))
      if (performance.now() >= deadline)
        return fail(failure('timeout', `${path} still runs in the guest after ${timeoutMs} ms, as its process ${pid}`))
      await sleep(EXEC_POLL_MS)
    }
  }

  /** Of a guest that was found running: ends a freeze whose agent ended before it. */
  async thawLeftover(guest: GuestId): Promise<void> {
    if (!existsSync(this.#options.folder(guest).frozenNote)) return
    this.#options.log.warn('thawing the file systems of a guest that an earlier agent froze', { guest })
    await this.#thawUntilDone(guest)
  }

  close(): void {
    this.#closed = true
    for (const timer of this.#freezes.values()) clearTimeout(timer)
    this.#freezes.clear()
  }

  /** A guest that stands still answers when it goes on; the folder goes with the guest. */
  async #thawUntilDone(guest: GuestId): Promise<void> {
    const { folder, log } = this.#options
    while (!this.#closed && existsSync(folder(guest).frozenNote)) {
      const thawed = await this.#thawOnce(guest)
      if (thawed.ok) return
      const listening = await this.#options.isListening(guest)
      if (!listening.ok) return
      log.warn('the file systems of a guest could not be thawed yet', { guest, error: thawed.error })
      await sleep(THAW_RETRY_MS)
    }
  }

  async #thawOnce(guest: GuestId): Promise<Result<number>> {
    const answer = await this.#call(guest, 'guest-fsfreeze-thaw')
    if (!answer.ok) return answer
    rmSync(this.#options.folder(guest).frozenNote, { force: true })
    return ok(Number(answer.value))
  }

  #call(guest: GuestId, command: string, args?: object, timeoutMs = ANSWER_MS): Promise<Result<unknown>> {
    return this.#talk(guest, (channel) => channel.execute(command, args, timeoutMs))
  }

  #talk<T>(guest: GuestId, talk: (channel: GuestAgentChannel) => Promise<Result<T>>): Promise<Result<T>> {
    const turn = (this.#queues.get(guest) ?? Promise.resolve()).then(async () => {
      const listening = await this.#listening(guest)
      if (!listening.ok) return listening
      const channel = await GuestAgentChannel.open(this.#options.folder(guest).agentSocket, ANSWER_MS)
      if (!channel.ok) return channel
      try {
        return await talk(channel.value)
      } finally {
        channel.value.close()
      }
    })
    const settled = turn.then(
      () => undefined,
      () => undefined,
    )
    this.#queues.set(guest, settled)
    void settled.then(() => {
      if (this.#queues.get(guest) === settled) this.#queues.delete(guest)
    })
    return turn
  }

  async #listening(guest: GuestId): Promise<Result<void>> {
    const listening = await this.#options.isListening(guest)
    if (!listening.ok) return listening
    return listening.value ? ok() : fail(noAgent('none has opened its channel'))
  }
}

interface ExecStatus {
  readonly exited: boolean
  readonly exitcode?: number
  readonly signal?: number
  readonly 'out-data'?: string
  readonly 'err-data'?: string
  readonly 'out-truncated'?: boolean
  readonly 'err-truncated'?: boolean
}

function outcomeOf(status: ExecStatus): GuestCommandOutcome {
  const decoded = (text: string | undefined) => Buffer.from(text ?? '', 'base64').toString('utf8')
  return {
    ...(status.exitcode === undefined ? {} : { exitCode: status.exitcode }),
    ...(status.signal === undefined ? {} : { signal: status.signal }),
    stdout: decoded(status['out-data']),
    stderr: decoded(status['err-data']),
    truncated: status['out-truncated'] === true || status['err-truncated'] === true,
  }
}

function textIn(value: unknown, field: string): string {
  const text = (value as Readonly<Record<string, unknown>> | undefined)?.[field]
  return typeof text === 'string' ? text.slice(0, 200) : ''
}

/** The answer of `guest-network-get-interfaces`; what is not as documented is left out. */
export function interfacesIn(value: unknown): GuestInterface[] {
  if (!Array.isArray(value)) return []
  return value
    .map((each: unknown) => {
      const found = (each as { readonly 'ip-addresses'?: unknown })['ip-addresses']
      const addresses: readonly unknown[] = Array.isArray(found) ? found : []
      return {
        name: textIn(each, 'name'),
        mac: textIn(each, 'hardware-address'),
        addresses: addresses.flatMap((address) => {
          const ip = textIn(address, 'ip-address')
          const prefix = (address as { readonly prefix?: unknown }).prefix
          return ip ? [typeof prefix === 'number' ? `${ip}/${prefix}` : ip] : []
        }),
      }
    })
    .filter(({ name }) => name !== '' && name !== 'lo')
}
