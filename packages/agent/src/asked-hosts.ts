/** A question to several hosts at once, this one among them: who answered what, and who did not. */
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { ok, type Result } from '@stead/core/result.ts'

export interface AskedHostsOptions {
  readonly self: HostId
  readonly state: () => ClusterState
  /** Asks another host; what does not answer within the time fails. */
  readonly call: (host: HostId, name: string, input: unknown, timeoutMs: number) => Promise<Result<unknown>>
}

export interface Gathered<T> {
  readonly answered: readonly (readonly [HostId, T])[]
  /** They are down, or did not answer in time: what they know is missing. */
  readonly silent: readonly HostId[]
}

const CALL_MS = 1_500

export async function gather<T>(
  { self, state, call }: AskedHostsOptions,
  hosts: readonly HostId[],
  question: {
    readonly name: string
    readonly input: unknown
    readonly own: () => T | Promise<T>
    /** For what takes longer than a look. */
    readonly timeoutMs?: number
  },
): Promise<Gathered<T>> {
  const { name, input, own, timeoutMs = CALL_MS } = question
  const asked = await Promise.all(
    hosts.map(async (host) => {
      if (host === self) return [host, ok(await own())] as const
      // Nobody waits for a host that is known to be down.
      const isUp = state().statuses.get(host)?.value.state === 'online'
      return [host, isUp ? ((await call(host, name, input, timeoutMs)) as Result<T>) : undefined] as const
    }),
  )
  return {
    answered: asked.flatMap(([host, answer]) => (answer?.ok ? [[host, answer.value] as const] : [])),
    silent: asked.flatMap(([host, answer]) => (answer?.ok ? [] : [host])),
  }
}
