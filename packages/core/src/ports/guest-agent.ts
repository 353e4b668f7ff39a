/**
 * Port: the agent inside a guest of this host, with which the host can speak past the network. The real one is QEMU's
 * guest agent (qemu-ga) on a virtio-serial channel. Every call fails with `no_guest_agent` when none listens there; that
 * is known at once, without waiting. What the agent says is the guest's word: it is shown, and nothing is decided by it.
 */
import type { GuestId } from '../model/ids.ts'
import type { Result } from '../result.ts'

export interface GuestSystem {
  /** As the guest calls itself: `Debian GNU/Linux 12 (bookworm)`. Empty when it does not say. */
  readonly system: string
  readonly kernel: string
  readonly hostname: string
  readonly agentVersion: string
}

export interface GuestInterface {
  readonly name: string
  /** Empty where there is none (loopback). */
  readonly mac: string
  /** With prefix length: `192.0.2.7/24`. */
  readonly addresses: readonly string[]
}

export interface GuestCommand {
  /** The program and its arguments; no shell reads them. */
  readonly command: readonly string[]
  /** For its standard input, UTF-8. */
  readonly input?: string
  /** How long to wait for its end, ms. It is not ended then. */
  readonly timeoutMs: number
}

export interface GuestCommandOutcome {
  readonly exitCode?: number
  /** When a signal ended it. */
  readonly signal?: number
  readonly stdout: string
  readonly stderr: string
  /** The agent keeps no more than some MiB of either. */
  readonly truncated: boolean
}

export interface GuestAgent {
  ping(guest: GuestId): Promise<Result<void>>
  system(guest: GuestId): Promise<Result<GuestSystem>>
  /** Without loopback. */
  interfaces(guest: GuestId): Promise<Result<readonly GuestInterface[]>>
  /**
   * Flushes the guest's file systems and holds all their writes back. They are thawed again after `boundMs` (at most
   * 60 s), whatever happens: also when this host's agent ends, by the next one. Frozen already: `conflict`.
   */
  freeze(guest: GuestId, boundMs: number): Promise<Result<{ readonly fileSystems: number }>>
  /** `held`: whether they were frozen by `freeze` without a break until now. False: what was read meanwhile may be torn. */
  thaw(guest: GuestId): Promise<Result<{ readonly held: boolean }>>
  freezeStatus(guest: GuestId): Promise<Result<'frozen' | 'thawed'>>
  /** Asks the guest to power itself off; resolves when it has been asked. */
  shutdown(guest: GuestId): Promise<Result<void>>
  /** Runs a program as the agent's user, mostly root. Whether it may is for the caller to know: see `Guest.agent`. */
  execute(guest: GuestId, command: GuestCommand): Promise<Result<GuestCommandOutcome>>
}

/** A file system that is frozen longer is noticed by everybody in the guest. */
export const FREEZE_MS_MAX = 60_000
