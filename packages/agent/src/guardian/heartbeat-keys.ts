/**
 * The keys of the heartbeats as one guardian has them. While the key is replaced there are two: every heartbeat is sent
 * by each of them and taken by either, so that hosts that have the new one and hosts that have not yet hear each other.
 */
import type { Heartbeat } from '@stead/core/ha/heartbeat.ts'
import { encodeHeartbeat, HeartbeatReader, PacketKey } from './heartbeat-packet.ts'

/** Keys are hexadecimal, at least 16 bytes. */
export interface HeartbeatKeys {
  readonly generation: number
  readonly key: string
  readonly former?: string
}

export class HeartbeatKeyRing {
  #keys: HeartbeatKeys
  #packetKeys: readonly PacketKey[]
  #reader: HeartbeatReader

  constructor(keys: HeartbeatKeys) {
    this.#keys = keys
    this.#packetKeys = packetKeysOf(keys)
    this.#reader = new HeartbeatReader(this.#packetKeys)
  }

  get generation(): number {
    return this.#keys.generation
  }

  /** Whether they are others than before. */
  replace(keys: HeartbeatKeys): boolean {
    const { generation, key, former } = this.#keys
    if (keys.generation === generation && keys.key === key && keys.former === former) return false
    this.#keys = keys
    this.#packetKeys = packetKeysOf(keys)
    this.#reader = new HeartbeatReader(this.#packetKeys)
    return true
  }

  /** One packet, or two with the same heartbeat. */
  encode(heartbeat: Heartbeat): readonly Buffer[] {
    return this.#packetKeys.map((key) => encodeHeartbeat(heartbeat, key))
  }

  read(packet: Buffer): Heartbeat | undefined {
    return this.#reader.read(packet)
  }
}

/** Undefined when the value is a set of keys. */
export function findKeysFault(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return 'keys must be an object'
  const { generation, key, former } = value as Readonly<Record<string, unknown>>
  if (!Number.isSafeInteger(generation) || (generation as number) < 0) return 'generation must be a whole number'
  if (!isKey(key)) return 'key must be at least 16 bytes in hexadecimal'
  return former === undefined || isKey(former) ? undefined : 'former must be at least 16 bytes in hexadecimal'
}

function isKey(value: unknown): boolean {
  return typeof value === 'string' && /^([0-9a-f]{2}){16,}$/i.test(value)
}

function packetKeysOf({ key, former }: HeartbeatKeys): PacketKey[] {
  return [key, ...(former === undefined ? [] : [former])].map((text) => new PacketKey(Buffer.from(text, 'hex')))
}
