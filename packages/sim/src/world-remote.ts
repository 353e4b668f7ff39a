/**
 * Another host's replicas, as a simulated agent calls them over the network: late, or not at all, or done without an
 * answer. A call that a frozen host has received is executed when it wakes up.
 */
import { failure } from '@stead/core/errors.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { VolumeHost } from '@stead/core/ports/volume-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { AgentLife } from './agent-life.ts'
import type { VirtualClock } from './virtual-clock.ts'
import type { CopyTarget, MemoryVolumeHost } from './memory-volume-host.ts'
import type { WorldNetwork } from './world-network.ts'
import type { WorldStorage } from './world-storage.ts'

const CONNECT_MS = 700
const CALL_MS = 3_000
/** A copy may take long, but never says nothing for so long. */
const COPY_SILENCE_MS = 5_000
const LOOK_MS = 100
const COPY_GIVEN_UP_MS = 2_000

export interface RemoteCallOptions {
  readonly from: HostId
  readonly to: HostId
  readonly network: WorldNetwork
  readonly clock: VirtualClock
  readonly latency: () => Promise<void>
  readonly callerLife: AgentLife
  /** The agent that serves the call; undefined while none runs there. */
  readonly served: () => { readonly volumes: VolumeHost; readonly life: AgentLife } | undefined
}

export function remoteVolumes(options: RemoteCallOptions): VolumeHost {
  return new Proxy({} as VolumeHost, {
    get: (_, method) =>
      method === 'then' ? undefined : (...args: unknown[]) => call(options, method as keyof VolumeHost, args),
  })
}

async function call(options: RemoteCallOptions, method: keyof VolumeHost, args: unknown[]): Promise<Result<unknown>> {
  const { from, to, network, clock, latency } = options
  const unreachable = (why: string) => fail(failure('host_unreachable', `${to} ${why}`))
  await latency()
  if (!network.connectedAnyhow(from, to)) {
    await clock.sleep(CONNECT_MS)
    return unreachable('cannot be reached')
  }
  const givenUp = new AbortController()
  const serving = serve(options, method, args, givenUp)
  const limitMs = method === 'copy' ? COPY_SILENCE_MS : CALL_MS
  let silentMs = 0
  let isAnswered = false
  void serving.then(() => (isAnswered = true))
  while (!isAnswered && silentMs < limitMs) {
    await Promise.race([serving, clock.sleep(LOOK_MS)])
    const isQuiet = method !== 'copy' || !network.hears(from, to) || options.served() === undefined
    silentMs = isQuiet ? silentMs + LOOK_MS : 0
  }
  if (!isAnswered) {
    givenUp.abort(new Error('the caller is gone'))
    return unreachable('does not answer')
  }
  const answer = await serving
  if (answer === undefined) return unreachable('refuses the connection')
  await latency()
  if (network.hears(from, to)) return answer
  await clock.sleep(limitMs)
  return unreachable('does not answer')
}

/** What happens at the other end; undefined when nobody listens there. */
async function serve(
  options: RemoteCallOptions,
  method: keyof VolumeHost,
  args: unknown[],
  givenUp: AbortController,
): Promise<Result<unknown> | undefined> {
  const { to, network, callerLife, served } = options
  while (network.presence(to) === 'frozen') await network.changed()
  const agent = served()
  if (!agent) return undefined
  const abort = () => givenUp.abort(new Error('the caller is gone'))
  callerLife.onEnd(abort)
  const given = args.map((arg) => (arg instanceof AbortSignal ? AbortSignal.any([arg, givenUp.signal]) : arg))
  const work = agent.volumes[method] as (...given: unknown[]) => Promise<Result<unknown>>
  const ended = new Promise<undefined>((resolve) => agent.life.onEnd(() => resolve(undefined)))
  return Promise.race([agent.life.receive(work.apply(agent.volumes, given)), ended])
}

/** While the storage daemon is down, its own host's calls for replicas fail too. */
export function guardedByDaemon(volumes: MemoryVolumeHost, isUp: () => boolean): MemoryVolumeHost {
  return new Proxy(volumes, {
    get: (target, method) => {
      const member: unknown = Reflect.get(target, method)
      if (typeof member !== 'function') return member
      return async (...args: unknown[]) =>
        isUp()
          ? ((member as (...given: unknown[]) => unknown).apply(target, args) as unknown)
          : fail(failure('storage', 'The storage daemon does not run'))
    },
  })
}

export interface CopyTargetOptions {
  readonly from: HostId
  readonly to: HostId
  readonly clock: VirtualClock
  readonly network: WorldNetwork
  readonly storage: WorldStorage
  readonly latency: () => Promise<void>
  readonly volumes: MemoryVolumeHost
}

/** What a resync writes to: the other host's export, reached over the network between replicas. */
export function copyTarget({ from, to, clock, network, storage, latency, volumes }: CopyTargetOptions): CopyTarget {
  const passes = async () => {
    await latency()
    const connected = network.hears(from, to) && network.connected(from, to, 'ran')
    return connected && storage.isDaemonUp(to) && storage.isDaemonUp(from)
  }
  const unreachable = async () => {
    await clock.sleep(COPY_GIVEN_UP_MS)
    return fail(failure('host_unreachable', `${to} does not take the copy`))
  }
  return {
    write: async (...request) => ((await passes()) ? volumes.writeThrough(...request) : unreachable()),
    read: async (volume, pool, { offset, length }) =>
      (await passes())
        ? ok(volumes.contentOf(volume, pool)?.slice(offset, offset + length) ?? new Uint8Array())
        : unreachable(),
  }
}
