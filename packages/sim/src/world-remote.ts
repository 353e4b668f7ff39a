/**
 * What another host serves, as a simulated agent calls it over the network: late, or not at all, or done without an
 * answer. A call that a standing host has received is executed when it goes on.
 */
import { failure } from '@stead/core/errors.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { VolumeHost } from '@stead/core/ports/volume-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { CopyTarget, MemoryVolumeHost } from './memory-volume-host.ts'
import type { ProcessLife } from './process-life.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { VirtualClock } from './virtual-clock.ts'
import type { WorldNetwork } from './world-network.ts'
import type { WorldStorage } from './world-storage.ts'

const CONNECT_MS = 700
const CALL_MS = 3_000
/** A copy may take long, but never says nothing for so long. */
const COPY_SILENCE_MS = 5_000
const LOOK_MS = 100
const COPY_GIVEN_UP_MS = 2_000
/** What a daemon's control socket is given to answer. */
const DAEMON_PATIENCE_MS = 10_000

export interface RemoteCallOptions<T extends object> {
  readonly from: HostId
  readonly to: HostId
  readonly network: WorldNetwork
  readonly clock: VirtualClock
  readonly callerLife: ProcessLife
  /** The agent that serves the call; undefined while none runs there. */
  readonly served: () => { readonly service: T; readonly life: ProcessLife } | undefined
  /** How long a call may take; 3 s when absent. */
  readonly limitMs?: number
}

/** An object with the service's methods, each of which is a call to the other host. */
export function remoteService<T extends object>(options: RemoteCallOptions<T>): T {
  return new Proxy({} as T, {
    get: (_, method) =>
      method === 'then' ? undefined : (...args: unknown[]) => call(options, method as keyof T, args),
  })
}

async function call<T extends object>(
  options: RemoteCallOptions<T>,
  method: keyof T,
  args: unknown[],
): Promise<Result<unknown>> {
  const { from, to, network, clock } = options
  const unreachable = (why: string) => fail(failure('host_unreachable', `${to} ${why}`))
  await clock.sleep(network.delayMs(from, to, 'san'))
  // A connection that is kept open carries a request over a cable that no longer brings the answer.
  if (!network.passesAnyhow(from, to)) {
    await clock.sleep(CONNECT_MS)
    return unreachable('cannot be reached')
  }
  const givenUp = new AbortController()
  const serving = serve(options, method, args, givenUp)
  const limitMs = method === 'copy' ? COPY_SILENCE_MS : (options.limitMs ?? CALL_MS)
  let silentMs = 0
  let isAnswered = false
  void serving.then(() => (isAnswered = true))
  while (!isAnswered && silentMs < limitMs) {
    await Promise.race([serving, clock.sleep(LOOK_MS)])
    const isQuiet = method !== 'copy' || !hears(network, from, to) || options.served() === undefined
    silentMs = isQuiet ? silentMs + LOOK_MS : 0
  }
  if (!isAnswered) {
    givenUp.abort(new Error('the caller is gone'))
    return unreachable('does not answer')
  }
  const answer = await serving
  if (answer === undefined) return unreachable('refuses the connection')
  await clock.sleep(network.delayMs(to, from, 'san'))
  if (network.presence(to) === 'on' && network.passesAnyhow(to, from)) return answer
  await clock.sleep(limitMs)
  return unreachable('does not answer')
}

function hears(network: WorldNetwork, listener: HostId, speaker: HostId): boolean {
  return network.presence(speaker) === 'on' && network.passesAnyhow(speaker, listener)
}

/** What happens at the other end; undefined when nobody listens there. */
async function serve<T extends object>(
  options: RemoteCallOptions<T>,
  method: keyof T,
  args: unknown[],
  givenUp: AbortController,
): Promise<Result<unknown> | undefined> {
  const { to, network, callerLife, served } = options
  while (network.presence(to) === 'frozen') await network.changed()
  const agent = served()
  if (!agent) return undefined
  callerLife.onEnd(() => givenUp.abort(new Error('the caller is gone')))
  const given = args.map((arg) => (arg instanceof AbortSignal ? AbortSignal.any([arg, givenUp.signal]) : arg))
  const work = agent.service[method] as (...given: unknown[]) => Promise<Result<unknown>>
  const ended = new Promise<undefined>((resolve) => agent.life.onEnd(() => resolve(undefined)))
  const begun = new Promise<void>((resolve) => agent.life.whenRunning(resolve))
  return Promise.race([agent.life.receive(begun.then(() => work.apply(agent.service, given))), ended])
}

export interface DaemonOptions {
  readonly volumes: MemoryVolumeHost
  readonly host: HostId
  readonly storage: WorldStorage
  readonly clock: VirtualClock
  readonly random: SeededRandom
  /** Of the agent through which it is reached. */
  readonly life: ProcessLife
  /** An order to open a replica waits up to so long before the grant is read. */
  readonly openMs: number
}

/** A host's replicas as its own agent reaches them: through a daemon that may be down or stand still, on a bad disk. */
export function throughDaemon(options: DaemonOptions): VolumeHost {
  const { volumes, host, storage, clock, random, life, openMs } = options
  const daemonAnswers = async (): Promise<Result<void>> => {
    const sinceMs = clock.monotonicMs()
    while (storage.daemon(host) === 'paused' && clock.monotonicMs() - sinceMs < DAEMON_PATIENCE_MS)
      await clock.sleep(LOOK_MS)
    if (storage.daemon(host) === 'up') return ok()
    return fail(failure('storage', 'The storage daemon does not answer'))
  }
  return new Proxy(volumes, {
    get: (target, method) => {
      const member: unknown = Reflect.get(target, method)
      if (typeof member !== 'function') return member
      return async (...args: unknown[]) => {
        if (openMs > 0 && (method === 'exportToGuest' || method === 'exportAsTarget' || method === 'serveAnew'))
          await life.receive(clock.sleep(random.fraction() * openMs))
        // Which replicas there are, and what of them has been kept, the host knows without its daemon.
        const answers = method === 'inspect' && storage.daemon(host) === 'down' ? ok() : await daemonAnswers()
        if (!answers.ok) return answers
        const disk = storage.disk(host)
        if (
          (method === 'createReplica' || method === 'reserveReplica' || method === 'prepareSnapshot') &&
          disk === 'full'
        )
          return fail(failure('no_capacity', 'No space left on the device'))
        if (disk === 'fails' && (method === 'createReplica' || method === 'copy' || method === 'digests'))
          return fail(failure('storage', 'Input/output error'))
        return (member as (...given: unknown[]) => unknown).apply(target, args)
      }
    },
  })
}

export interface CopyTargetOptions {
  readonly from: HostId
  readonly to: HostId
  readonly clock: VirtualClock
  readonly network: WorldNetwork
  readonly storage: WorldStorage
  readonly random: SeededRandom
  readonly volumes: MemoryVolumeHost
}

/** What a resync writes to: the other host's export, reached over the network between replicas. */
export function copyTarget({ from, to, clock, network, storage, random, volumes }: CopyTargetOptions): CopyTarget {
  const isInOrder = (host: HostId) =>
    network.presence(host) === 'on' && storage.daemon(host) === 'up' && ['ok', 'full'].includes(storage.disk(host))
  const through = async <T>(work: () => Result<T>): Promise<Result<T>> => {
    await clock.sleep(random.fraction() * storage.diskMs + network.delayMs(from, to, 'ran'))
    if (network.linked(from, to, 'ran') && isInOrder(to) && isInOrder(from)) return work()
    await clock.sleep(COPY_GIVEN_UP_MS)
    return fail(failure('host_unreachable', `${to} does not take the copy`))
  }
  return {
    instanceOf: (...request) => volumes.instanceOf(...request),
    write: (...request) => through(() => volumes.writeBlockThrough(...request)),
    read: (volume, pool, block) => through(() => ok(volumes.contentOf(volume, pool)?.block(block) ?? new Uint8Array())),
    flush: (...request) => through(() => volumes.flushThrough(...request)),
  }
}
