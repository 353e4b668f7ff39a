/** What the benchmark of containers asks for over the API, timed in this process. */
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { Client } from '@stead/api/client.ts'
import { monotonicMs, must } from './bench-lab.ts'

const MIB = 2 ** 20

export interface ContainerSize {
  readonly replicas: 1 | 2
  /** Its root is a subvolume of a pool on btrfs. */
  readonly nativeRoot?: true
  readonly memoryMib?: number
  readonly diskMib?: number
  readonly address?: string
  readonly limits?: Readonly<Record<string, { readonly limit: number }>>
}

export class ContainerCalls {
  readonly #client: Client
  readonly #host: string

  constructor(client: Client, host: string) {
    this.#client = client
    this.#host = host
  }

  /** From the request until its init runs, ms. */
  async createAndStart(name: string, size: ContainerSize): Promise<number> {
    const { replicas, nativeRoot, memoryMib = 64, diskMib = 128, address, limits = { numproc: { limit: 50 } } } = size
    return timed(async () => {
      const { operation } = must(
        await this.#client.call(ENDPOINTS['guest.create'], {
          body: {
            name,
            memoryBytes: memoryMib * MIB,
            disks: [{ sizeBytes: diskMib * MIB, replicas }],
            boot: { kind: 'container' },
            container: {
              ...{ template: 'busybox', limits },
              ...(nativeRoot ? { root: 'native' as const } : {}),
              ...(address === undefined ? {} : { addresses: [address] }),
            },
            host: this.#host,
            start: true,
            nic: true,
          },
        }),
      )
      await this.#settle(operation.id)
    })
  }

  async exec(guest: string, command: readonly string[] = ['true'], timeoutMs = 60_000): Promise<number> {
    return timed(async () => void (await this.output(guest, command, timeoutMs)))
  }

  async output(guest: string, command: readonly string[], timeoutMs = 60_000): Promise<string> {
    const body = { command: [...command], timeoutMs }
    return must(await this.#client.call(ENDPOINTS['guest-agent.execute'], { params: { guest }, body })).stdout
  }

  /** All containers with state, and what they use. */
  async list(): Promise<{ readonly listMs: number; readonly usesMs: number; readonly count: number }> {
    let count = 0
    const listMs = await timed(async () => {
      count = must(await this.#client.call(ENDPOINTS['guest.list'], { query: { kind: 'ct' } })).items.length
    })
    const usesMs = await timed(
      async () => void must(await this.#client.call(ENDPOINTS['counter.list'], { query: { ageMs: 60_000 } })),
    )
    return { listMs, usesMs, count }
  }

  /** Asks it to halt, ms until it has stopped. */
  async stop(guest: string): Promise<number> {
    return timed(async () => {
      const { operation } = must(await this.#client.call(ENDPOINTS['guest.stop'], { params: { guest }, body: {} }))
      await this.#settle(operation.id)
    })
  }

  /** By a restart on another host; ms until it runs there. */
  async move(guest: string, to: string): Promise<number> {
    return timed(async () => {
      const { operation } = must(
        await this.#client.call(ENDPOINTS['guest.relocate'], { params: { guest }, body: { to } }),
      )
      await this.#settle(operation.id)
    })
  }

  /** At once, with none of what ran in it. */
  async restart(guest: string): Promise<void> {
    const stopped = must(await this.#client.call(ENDPOINTS['guest.stop'], { params: { guest }, body: { force: true } }))
    await this.#settle(stopped.operation.id)
    const started = must(await this.#client.call(ENDPOINTS['guest.start'], { params: { guest }, body: {} }))
    await this.#settle(started.operation.id)
  }

  async remove(guest: string): Promise<void> {
    const stopped = await this.#client.call(ENDPOINTS['guest.stop'], { params: { guest }, body: { force: true } })
    if (stopped.ok) await this.#settle(stopped.value.operation.id)
    const { operation } = must(await this.#client.call(ENDPOINTS['guest.delete'], { params: { guest } }))
    await this.#settle(operation.id)
  }

  async #settle(id: string): Promise<void> {
    for (;;) {
      const { state, message } = must(
        await this.#client.call(ENDPOINTS['operation.show'], { params: { operation: id }, query: { waitMs: 2000 } }),
      )
      if (state === 'succeeded') return
      if (state === 'failed') throw new Error(message)
    }
  }
}

export async function timed(work: () => Promise<void>): Promise<number> {
  const beganMs = monotonicMs()
  await work()
  return monotonicMs() - beganMs
}
