/** How the host that runs a guest finds out whether the guest is ready to serve. */

export type ProbeCheck =
  /** A connection is taken. Without an address: at the first one that the agent inside the guest tells. */
  | { readonly kind: 'tcp'; readonly port: number; readonly address?: string }
  /** A request is answered as it should be. */
  | {
      readonly kind: 'http'
      readonly port: number
      readonly address?: string
      readonly path: string
      /** The status that is wanted; any from 200 to 399 when absent. */
      readonly status?: number
      /** What the body must contain. */
      readonly body?: string
    }
  /** The agent inside the guest answers. */
  | { readonly kind: 'agent' }
  /** A line of its serial console, since it booted, contains a text, or a match of a `TextPattern`. */
  | { readonly kind: 'console'; readonly find: string; readonly as: 'text' | 'pattern' }

/** The words and their meaning are those of Kubernetes' probes. */
export interface ReadinessProbe {
  readonly check: ProbeCheck
  /** From the start of the run (or the guest's own reboot) to the first try, ms. */
  readonly initialDelayMs: number
  /** From the beginning of one try to that of the next, ms. */
  readonly periodMs: number
  /** A try that takes longer has failed, ms. */
  readonly timeoutMs: number
  /** Tries in a row that must succeed before it is ready. */
  readonly successThreshold: number
  /** Tries in a row that must fail before it is not ready any more. */
  readonly failureThreshold: number
  /** `restart`: a guest that was ready and is not any more is restarted, and that run counts as failed. */
  readonly onFailure: 'report' | 'restart'
}

export const PROBE_DEFAULTS: Omit<ReadinessProbe, 'check'> = {
  initialDelayMs: 0,
  periodMs: 10_000,
  timeoutMs: 1_000,
  successThreshold: 1,
  failureThreshold: 3,
  onFailure: 'report',
}

/** What the probe has found of a run; part of the guest's observation. */
export interface Readiness {
  readonly ready: boolean
  /** Milliseconds since 1970: since when it is so. */
  readonly since: number
  /** Why it is not ready; empty when it is. */
  readonly reason: string
}

/** Not loopback, `0.0.0.0`, multicast or broadcast: no guest has those, and a host's own services are not its guests'. */
export function canBeGuests(address: string): boolean {
  if (address.includes(':')) return !/^(::1?|ff.*|(0+:){7}0*[01]|::ffff:.*)$/i.test(address)
  const first = Number(address.split('.')[0])
  return first !== 0 && first !== 127 && first < 224
}
