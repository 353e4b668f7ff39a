/** A guest that came over live brings along what its console has said since it booted. */
import { appendFile, stat } from 'node:fs/promises'
import type { ConsoleLogs } from '@stead/core/host/host-context.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Peers } from '../peers.ts'

const CARRY_MS_MAX = 10_000

export interface CarriedLogsOptions {
  readonly peers: Peers
  readonly logPath: (guest: GuestId) => string
  readonly log: Log
}

export class CarriedLogs implements ConsoleLogs {
  readonly #options: CarriedLogsOptions

  constructor(options: CarriedLogsOptions) {
    this.#options = options
  }

  async size(guest: GuestId): Promise<number> {
    const found = await stat(this.#options.logPath(guest)).catch(() => undefined)
    return found?.size ?? 0
  }

  /** Before the hypervisor here, which appends to the same file, has begun. What fails stays behind. */
  async carry(guest: GuestId, from: HostId, offset: number): Promise<number> {
    const { peers, logPath, log } = this.#options
    const input = { guest, offset, follow: false }
    const stream = await peers.client(from).stream('console', input, AbortSignal.timeout(CARRY_MS_MAX))
    if (!stream.ok) {
      log.warn('the earlier console log stays behind', { guest, from, cause: stream.error })
      return offset
    }
    try {
      const parts: Buffer[] = []
      for await (const part of stream.value as AsyncIterable<Buffer>) parts.push(part)
      const text = Buffer.concat(parts)
      // In one write: a reader never sees half of it behind what is newer.
      await appendFile(logPath(guest), text)
      return offset + text.length
    } catch (cause) {
      log.warn('the earlier console log stays behind', { guest, from, cause })
      return offset
    }
  }
}
