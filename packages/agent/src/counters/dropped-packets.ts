/**
 * How many packets of each port were more than its card may send. The kernel's counters begin anew with each limit and each
 * table; these only grow, for as long as there is the port.
 */
export class DroppedPackets {
  readonly #ports = new Map<string, { readonly last: number; readonly total: number }>()

  /** What the kernel counts now, and the links that there are. A port that it does not count has no limit any more. */
  note(counted: ReadonlyMap<string, number>, links: readonly string[]): void {
    const present = new Set(links)
    for (const [port, { total }] of this.#ports)
      if (!present.has(port)) this.#ports.delete(port)
      else if (!counted.has(port)) this.#ports.set(port, { last: 0, total })
    for (const [port, now] of counted) {
      const { last, total } = this.#ports.get(port) ?? { last: 0, total: 0 }
      this.#ports.set(port, { last: now, total: total + (now < last ? now : now - last) })
    }
  }

  /** Of all these ports. */
  of(ports: readonly string[]): number {
    return ports.reduce((sum, port) => sum + (this.#ports.get(port)?.total ?? 0), 0)
  }
}
