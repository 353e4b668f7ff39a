/**
 * How much one client may ask of the agent's public port. What is over is refused at once, so that a client that asks
 * too much, or holds connections and says nothing, takes nothing from the others. docs/internals/access.md.
 */
import type { Server } from 'node:net'
import { clientAddress } from '@stead/core/access/client-address.ts'

export interface ClientLimits {
  readonly connectionsMax: number
  readonly connectionsPerAddressMax: number
  /** Of one who is known, however many connections and addresses he has. */
  readonly requestsPerSecond: number
  readonly requestsBurst: number
  /** Of one address, while it has not shown who it is: also what tries tokens and passwords out. */
  readonly strangerRequestsPerSecond: number
  readonly strangerRequestsBurst: number
  /** From the connection, or from the end of the request before, to the end of a request's head. */
  readonly headTimeoutMs: number
  /** For a whole JSON body; of an upload: between two parts of it. */
  readonly bodyTimeoutMs: number
  readonly uploadSilenceMs: number
  readonly keepAliveMs: number
  readonly headBytesMax: number
}

export const CLIENT_LIMITS: ClientLimits = {
  connectionsMax: 2_000,
  // A university's students may all come from one address.
  connectionsPerAddressMax: 600,
  requestsPerSecond: 1_000,
  requestsBurst: 2_000,
  strangerRequestsPerSecond: 10,
  strangerRequestsBurst: 60,
  headTimeoutMs: 10_000,
  bodyTimeoutMs: 15_000,
  uploadSilenceMs: 30_000,
  keepAliveMs: 30_000,
  headBytesMax: 16 * 1024,
}

/** Further ones are closed before anything is read of them. */
export function limitConnections(server: Server, limits: ClientLimits): void {
  const open = new Map<string, number>()
  server.maxConnections = limits.connectionsMax
  server.on('connection', (socket) => {
    const address = clientAddress(socket.remoteAddress)
    const count = (open.get(address) ?? 0) + 1
    if (count > limits.connectionsPerAddressMax) return socket.destroy()
    open.set(address, count)
    socket.once('close', () => {
      const left = (open.get(address) ?? 1) - 1
      if (left > 0) open.set(address, left)
      else open.delete(address)
    })
    return undefined
  })
}

interface Bucket {
  readonly left: number
  readonly atMs: number
}

const BUCKETS_MAX = 20_000

/** Each key may take `burst` at once, and `perSecond` in the long run. */
export class TokenBuckets {
  readonly #perSecond: number
  readonly #burst: number
  /** Those that were used last are last. One that is not here is full. */
  readonly #buckets = new Map<string, Bucket>()

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond
    this.#burst = burst
  }

  /** Milliseconds until there is one again; 0: it was taken. */
  take(key: string, nowMs: number): number {
    const left = this.#left(key, nowMs)
    const taken = left >= 1
    this.#buckets.delete(key)
    this.#buckets.set(key, { left: taken ? left - 1 : left, atMs: nowMs })
    if (this.#buckets.size > BUCKETS_MAX)
      for (const oldest of this.#buckets.keys()) if (this.#buckets.delete(oldest)) break
    return taken ? 0 : this.#waitMs(left)
  }

  /** As `take`, but nothing is taken. */
  waitMs(key: string, nowMs: number): number {
    const left = this.#left(key, nowMs)
    return left >= 1 ? 0 : this.#waitMs(left)
  }

  #waitMs(left: number): number {
    return Math.max(1, Math.ceil(((1 - left) / this.#perSecond) * 1_000))
  }

  #left(key: string, nowMs: number): number {
    const bucket = this.#buckets.get(key)
    if (!bucket) return this.#burst
    return Math.min(this.#burst, bucket.left + ((nowMs - bucket.atMs) / 1_000) * this.#perSecond)
  }
}
