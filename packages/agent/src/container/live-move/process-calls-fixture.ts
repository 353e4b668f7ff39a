/** Calls of a port that is in a child process, over Node's channel to it: for tests whose hosts have namespaces of their own. */
import type { ChildProcess } from 'node:child_process'

interface Call {
  readonly id: number
  readonly port: string
  readonly method: string
  /** An `AbortSignal` among them is `SIGNAL`. */
  readonly args: readonly unknown[]
}
/** The call's signal was aborted. */
interface Abort {
  readonly id: number
  readonly aborted: true
}
interface Answer {
  readonly id: number
  readonly value?: unknown
  /** What it threw. */
  readonly thrown?: string
}

const SIGNAL = { signal: true } as const
type Method = (...args: readonly unknown[]) => unknown

/** Serves the ports to the parent until it is gone; each is looked up anew for every call. */
export function serveCalls(ports: Readonly<Record<string, () => object>>): void {
  const aborts = new Map<number, AbortController>()
  const answer = (answered: Answer) => process.send?.(answered)
  process.on('disconnect', () => process.exit())
  process.on('message', (message: Call | Abort) => {
    if ('aborted' in message) return aborts.get(message.id)?.abort()
    const { id, port, method, args } = message
    const abort = new AbortController()
    aborts.set(id, abort)
    const given = args.map((arg) => (isSignal(arg) ? abort.signal : arg))
    const served = ports[port]!() as Record<string, Method>
    Promise.resolve(served[method]!(...given))
      .then(
        (value) => answer({ id, value }),
        (error: unknown) => answer({ id, thrown: error instanceof Error ? (error.stack ?? '') : String(error) }),
      )
      .finally(() => aborts.delete(id))
  })
}

/** The ports of the child, which must have been spawned with `serialization: 'advanced'`. A call that it does not answer never ends. */
export function callsOf(child: ChildProcess): <Port extends object>(port: string) => Port {
  const waiting = new Map<number, (answered: Answer) => void>()
  let last = 0
  child.on('message', (answered: Answer) => waiting.get(answered.id)?.(answered))
  const call = (port: string, method: string, args: readonly unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const id = ++last
      waiting.set(id, ({ value, thrown }) => {
        waiting.delete(id)
        if (thrown === undefined) resolve(value)
        else reject(new Error(thrown))
      })
      const signal = args.find((arg) => arg instanceof AbortSignal)
      child.send({ id, port, method, args: args.map((arg) => (arg instanceof AbortSignal ? SIGNAL : arg)) })
      const abort = () => child.send({ id, aborted: true })
      if (signal?.aborted) abort()
      else signal?.addEventListener('abort', () => waiting.has(id) && child.connected && abort(), { once: true })
    })
  return <Port extends object>(port: string) =>
    new Proxy({} as Port, {
      get:
        (_, method) =>
        (...args: readonly unknown[]) =>
          call(port, String(method), args),
    })
}

function isSignal(arg: unknown): boolean {
  return typeof arg === 'object' && arg !== null && 'signal' in arg && arg.signal === true
}
