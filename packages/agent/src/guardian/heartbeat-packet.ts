/**
 * The heartbeat on the wire: 16 bytes of HMAC-SHA256 (truncated, RFC 2104 section 5), then JSON.
 *
 * `seq` is the sender's CLOCK_MONOTONIC in whole ms when it sent, so it grows over restarts of the guardian within a
 * boot, and a peer that repeats it tells the sender *when* it was last heard by the sender's own clock.
 */
import { hash, timingSafeEqual } from 'node:crypto'
import type { Echo, Heartbeat, Statement } from '@stead/core/ha/heartbeat.ts'

const MAC_BYTES = 16
const SHA256_BLOCK_BYTES = 64
const SHA256_BYTES = 32
/** Packets of different senders that may arrive between the copies of one. */
const RECENT_MAX = 8

/** Eight characters that stand for a boot id inside packets. */
export function bootTag(bootId: string): string {
  return hash('sha256', bootId, 'base64').slice(0, 8)
}

/**
 * HMAC-SHA256 (RFC 2104) of one key. Made of two one-shot hashes: Node's `createHmac` cost more than everything else
 * that a guardian does with a packet (key object, stream), about 0.4 % of a core at 60 packets a second.
 */
export class PacketKey {
  readonly #inner: Buffer
  readonly #outer: Buffer

  /** @param key at most 64 bytes, as is; longer ones are hashed first, as the RFC says. */
  constructor(key: Buffer) {
    const block = Buffer.alloc(SHA256_BLOCK_BYTES)
    ;(key.length > SHA256_BLOCK_BYTES ? hash('sha256', key, 'buffer') : key).copy(block)
    this.#inner = Buffer.from(block.map((byte) => byte ^ 0x36))
    this.#outer = Buffer.concat([block.map((byte) => byte ^ 0x5c), Buffer.alloc(SHA256_BYTES)])
  }

  code(body: Buffer): Buffer {
    hash('sha256', Buffer.concat([this.#inner, body]), 'buffer').copy(this.#outer, SHA256_BLOCK_BYTES)
    return hash('sha256', this.#outer, 'buffer')
  }
}

export function encodeHeartbeat(heartbeat: Heartbeat, key: PacketKey): Buffer {
  const hears: Record<string, (number | string)[]> = {}
  for (const [host, { silenceMs, echoes }] of heartbeat.statements) {
    const entry: (number | string)[] = [Math.round(silenceMs)]
    for (const echo of echoes) entry.push(echo.seq, echo.bootTag)
    hears[host] = entry
  }
  const text = JSON.stringify({ f: heartbeat.from, b: heartbeat.bootId, s: heartbeat.seq, h: hears })
  const packet = Buffer.allocUnsafe(MAC_BYTES + Buffer.byteLength(text))
  packet.write(text, MAC_BYTES)
  key.code(packet.subarray(MAC_BYTES)).copy(packet, 0, 0, MAC_BYTES)
  return packet
}

/** Undefined when the packet is not from this cluster or malformed. */
export function decodeHeartbeat(packet: Buffer, key: PacketKey): Heartbeat | undefined {
  if (packet.length <= MAC_BYTES) return undefined
  const body = packet.subarray(MAC_BYTES)
  if (!timingSafeEqual(key.code(body).subarray(0, MAC_BYTES), packet.subarray(0, MAC_BYTES))) return undefined
  // Whoever made a valid code is one of us, perhaps of another version: malformed content is dropped, not trusted.
  try {
    const { f, b, s, h } = JSON.parse(body.toString()) as { f: unknown; b: unknown; s: unknown; h: unknown }
    if (typeof f !== 'string' || typeof b !== 'string' || !Number.isSafeInteger(s)) return undefined
    const statements = new Map<string, Statement>()
    for (const [host, entry] of Object.entries(h as Record<string, (number | string)[]>)) {
      const echoes: Echo[] = []
      for (let i = 1; i + 1 < entry.length; i += 2)
        echoes.push({ seq: Number(entry[i]), bootTag: String(entry[i + 1]) })
      statements.set(host, { silenceMs: Number(entry[0]), echoes })
    }
    return { from: f, bootId: b, seq: s as number, statements }
  } catch {
    return undefined
  }
}

/**
 * Decodes what arrives, by any of the keys. A sender sends the same bytes on every network, so most packets are equal to one that was
 * just checked: those cost a comparison only.
 */
export class HeartbeatReader {
  readonly #keys: readonly PacketKey[]
  readonly #recent: { readonly packet: Buffer; readonly heartbeat: Heartbeat }[] = []

  constructor(keys: readonly PacketKey[]) {
    this.#keys = keys
  }

  read(packet: Buffer): Heartbeat | undefined {
    for (const known of this.#recent) if (known.packet.equals(packet)) return known.heartbeat
    for (const key of this.#keys) {
      const heartbeat = decodeHeartbeat(packet, key)
      if (!heartbeat) continue
      this.#recent.unshift({ packet, heartbeat })
      if (this.#recent.length > RECENT_MAX) this.#recent.pop()
      return heartbeat
    }
    return undefined
  }
}
