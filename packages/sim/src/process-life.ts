/**
 * The life of one simulated process: an agent or a guardian. Its code cannot be stopped from outside, but it can do
 * nothing without its ports: when it dies, no call of a port ever comes back to it; while it is paused, none does.
 */
export class ProcessLife {
  #isOver = false
  #resume: (() => void) | undefined
  #paused: Promise<void> | undefined
  readonly #onEnd = new Set<() => void>()

  get isOver(): boolean {
    return this.#isOver
  }

  get isPaused(): boolean {
    return this.#paused !== undefined
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

  pause(): void {
    this.#paused ??= new Promise((resolve) => (this.#resume = resolve))
  }

  resume(): void {
    this.#resume?.()
    this.#paused = undefined
    this.#resume = undefined
  }

  /** The result as the process gets it: when it runs again, or never. */
  receive<T>(result: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (deliver: () => void): void => {
        if (this.#isOver) return
        if (this.#paused) void this.#paused.then(() => settle(deliver))
        else deliver()
      }
      result.then(
        (value) => settle(() => resolve(value)),
        (error: unknown) => settle(() => reject(error)),
      )
    })
  }

  /** Calls when the process runs again, or at once; never after its end. */
  whenRunning(call: () => void): void {
    if (this.#isOver) return
    if (this.#paused) void this.#paused.then(() => this.whenRunning(call))
    else call()
  }

  /**
   * The port as this process sees it: results and call-backs stop with its life. `latency`: how long a call takes on
   * its way back.
   */
  bind<T extends object>(port: T, latency?: () => Promise<void>): T {
    const methods = new Map<PropertyKey, unknown>()
    return new Proxy(port, {
      get: (target, key) => {
        const known = methods.get(key)
        if (known) return known
        const member: unknown = Reflect.get(target, key)
        if (typeof member !== 'function') return member
        const work = member as (...given: readonly unknown[]) => unknown
        const bound = (...args: readonly unknown[]): unknown => {
          if (this.#isOver) return new Promise<never>(() => undefined)
          const given = args.map((arg) =>
            typeof arg === 'function' ? this.#callback(arg as (...given: unknown[]) => unknown) : arg,
          )
          const result = work.apply(target, given)
          if (!(result instanceof Promise)) return result
          return this.receive(latency ? late(result as Promise<unknown>, latency) : (result as Promise<unknown>))
        }
        methods.set(key, bound)
        return bound
      },
    })
  }

  #callback(callback: (...given: unknown[]) => unknown): (...given: unknown[]) => unknown {
    return (...given) => {
      // A call-back that answers something is asked, not told: it cannot wait.
      if (!this.#isOver && !this.#paused) return callback(...given)
      this.whenRunning(() => callback(...given))
      return undefined
    }
  }
}

async function late<T>(result: Promise<T>, latency: () => Promise<void>): Promise<T> {
  const value = await result
  await latency()
  return value
}
