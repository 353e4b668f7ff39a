/** What the agent tells its guardian, as one JSON file. Checked by hand: a schema library would double its memory. */
import { isIP } from 'node:net'
import type { HostId } from '@stead/core/model/ids.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { findKeysFault, type HeartbeatKeys } from './heartbeat-keys.ts'

export interface GuardianPeer {
  readonly id: HostId
  /** Network role to IP address. */
  readonly addresses: Readonly<Record<string, string>>
  /** UDP. */
  readonly port: number
}

export interface GuardianConfig {
  readonly hostId: HostId
  /** Changes with each boot of the host, not with a restart of the guardian. */
  readonly bootId: string
  /** What proves that a heartbeat comes from this cluster. */
  readonly keys: HeartbeatKeys
  /** This host's own addresses by network role. Heartbeats go out on each role that the peer has too. */
  readonly addresses: Readonly<Record<string, string>>
  /** UDP, on every own address. */
  readonly port: number
  /** All other hosts, witness included, dead or alive. */
  readonly peers: readonly GuardianPeer[]
  readonly heartbeatIntervalMs: number
  readonly detectionMs: number
  readonly leaseTtlMs: number
  /** Key in the store that lives as long as this host's lease. */
  readonly leaseKey: string
  /** Folder with `trust/`, for members of the store on other hosts. */
  readonly stateDir: string
  /** `host:port`, or the path of this host's own member's socket. */
  readonly etcdEndpoints: readonly string[]
  readonly deadmanSocket: string
  readonly controlSocket: string
  /** Reserve for the killing itself: the guests' time ends this much before the lease's. */
  readonly marginMs: number
}

export function parseGuardianConfig(text: string): Result<GuardianConfig> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    return fail(failure('bad_request', 'The guardian configuration is not JSON', { cause }))
  }
  const wrong = findFault(value)
  return wrong ? fail(failure('bad_request', `Guardian configuration: ${wrong}`)) : ok(value as GuardianConfig)
}

/** Undefined when the value is a list of peers. */
export function findPeersFault(value: unknown): string | undefined {
  if (!Array.isArray(value)) return 'peers must be a list'
  for (const peer of value) {
    if (!isRecord(peer) || typeof peer.id !== 'string' || peer.id === '') return 'each peer needs an id'
    if (!isPort(peer.port)) return `peer ${peer.id}: port must be 1 to 65535`
    if (!areAddresses(peer.addresses)) return `peer ${peer.id}: addresses must be IP addresses by network role`
  }
  return undefined
}

function findFault(value: unknown): string | undefined {
  if (!isRecord(value)) return 'not an object'
  for (const name of ['hostId', 'bootId', 'leaseKey', 'stateDir', 'deadmanSocket', 'controlSocket']) {
    if (typeof value[name] !== 'string' || value[name] === '') return `${name} must be a text`
  }
  const keysFault = findKeysFault(value.keys)
  if (keysFault) return keysFault
  for (const name of ['heartbeatIntervalMs', 'detectionMs', 'leaseTtlMs']) {
    if (!isPositive(value[name])) return `${name} must be a number of milliseconds`
  }
  if (typeof value.marginMs !== 'number' || value.marginMs < 0 || value.marginMs >= (value.leaseTtlMs as number)) {
    return 'marginMs must be between 0 and leaseTtlMs'
  }
  if ((value.detectionMs as number) < 3 * (value.heartbeatIntervalMs as number)) {
    return 'detectionMs must be at least three heartbeat intervals'
  }
  if (!isPort(value.port)) return 'port must be 1 to 65535'
  if (!areAddresses(value.addresses)) return 'addresses must be IP addresses by network role'
  if (!Array.isArray(value.etcdEndpoints) || value.etcdEndpoints.some((each) => typeof each !== 'string')) {
    return 'etcdEndpoints must be a list of texts'
  }
  return findPeersFault(value.peers)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isPositive(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0
}

function isPort(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) > 0 && (value as number) <= 65_535
}

function areAddresses(value: unknown): boolean {
  return isRecord(value) && Object.values(value).every((address) => typeof address === 'string' && isIP(address) !== 0)
}
