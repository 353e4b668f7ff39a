/** Runs tasks one after the other. What must not interleave on one guest goes through one queue. */
export class SerialQueue {
  #tail: Promise<unknown> = Promise.resolve()

  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(task)
    // A failed task is its caller's to handle; the queue goes on.
    this.#tail = result.catch(() => undefined)
    return result
  }
}
