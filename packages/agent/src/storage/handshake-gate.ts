/**
 * Keeps this agent's own handshakes with a storage daemon apart from the orders at which the daemon waits until the
 * requests of its exports have ended: the end of an export, a change of bitmaps or layers.
 *
 * QEMU 10.0 tells the clients that it has at that moment to be quiet, and not one whose handshake ends meanwhile
 * (`nbd_drained_begin` in its nbd/server.c). That one's next request never ends for `nbd_drained_poll`, and the
 * daemon waits for ever, spinning: its monitor, and the exports of that volume. Measured beside one busy writer: once in 250
 * readings of a replica; never in 6,000 with this gate. Clients of other hosts have no gate; for them the daemon's keeper
 * kills such a daemon.
 */
export class HandshakeGate {
  readonly #handshakes = new Set<Promise<void>>()
  readonly #orders = new Set<Promise<void>>()

  /** Begins when the orders that were given before have ended. */
  handshake<T>(task: () => Promise<T>): Promise<T> {
    return after(this.#orders, this.#handshakes, task)
  }

  /** Begins when the handshakes that were begun before have ended; at once with other orders. Not within another order. */
  order<T>(task: () => Promise<T>): Promise<T> {
    return after(this.#handshakes, this.#orders, task)
  }
}

function after<T>(others: ReadonlySet<Promise<void>>, own: Set<Promise<void>>, task: () => Promise<T>): Promise<T> {
  const mine = others.size === 0 ? task() : Promise.all(others).then(task)
  const ended: Promise<void> = mine.then(
    () => void own.delete(ended),
    () => void own.delete(ended),
  )
  own.add(ended)
  return mine
}
