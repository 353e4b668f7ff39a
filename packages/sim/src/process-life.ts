/**
 * The life of one agent process in the simulator. Its code cannot be stopped from outside, but it can do nothing
 * without its ports: when it dies, no call of a port ever comes back to it; while its host is frozen, none does.
 */
export class AgentLife {
  #isOver = false
  #thaw: (() => void) | undefined
  #frozen: Promise<void> | undefined
  readonly #onEnd = new Set<() => void>()
  readonly #delay: () => Promise<void>

  /** `delay`: how long an answer takes to be noticed. */
  constructor(delay: () => Promise<void>) {
    this.#delay = delay
  }

  get isOver(): boolean {
    return this.#isOver
  }

  end(): void {
    this.#isOver = true
    for (const listener of this.#onEnd) listener()
    this.#onEnd.clear()
  }

  onEnd(listener: () => void): () => void {
    this.#onEnd.add(listener)
    return () => this.#onEnd.delete(listener)
  }

  freeze(): void {
    this.#frozen ??= new Promise((resolve) => (this.#thaw = resolve))
  }

  thaw(): void {
    this.#thaw?.()
    this.#frozen = undefined
    this.#thaw = undefined
  }

  /** The result as the process gets it: late, or never. */
  async receive<T>(result: Promise<T>): Promise<T> {
    const value = await result
    await this.#delay()
    while (this.#frozen) await this.#frozen
    return this.#isOver ? new Promise<never>(() => undefined) : value
  }

  /** The port as this process sees it: results and call-backs stop with its life. */
  bind<T extends object>(port: T): T {
    return new Proxy(port, {
      get: (target, key) => {
        const member: unknown = Reflect.get(target, key)
        if (typeof member !== 'function') return member
        return (...args: readonly unknown[]): unknown => {
          if (this.#isOver) return new Promise<never>(() => undefined)
          const bound = args.map((arg) =>
            typeof arg === 'function' ? this.#callback(arg as (...given: unknown[]) => unknown) : arg,
          )
          const result: unknown = (member as (...given: readonly unknown[]) => unknown).apply(target, bound)
          return result instanceof Promise ? this.receive(result) : result
        }
      },
    })
  }

  #callback(callback: (...given: unknown[]) => unknown): (...given: unknown[]) => unknown {
    return (...given) => {
      if (this.#isOver) return undefined
      if (!this.#frozen) return callback(...given)
      void this.#frozen.then(() => this.#callback(callback)(...given))
      return undefined
    }
  }
}
