/** Looks now and then whether the filter of the guests' ports is still as it was made: a reload of the host's own rules flushes it. */
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { LinuxNetworkHost, type LinuxNetworkHostOptions } from './linux-network-host.ts'

const INTERVAL_MS = 10_000

/** The network of this host, looked after until the signal is aborted. */
export function watchedNetworkHost(
  options: LinuxNetworkHostOptions,
  clock: Clock,
  log: Log,
  signal: AbortSignal,
): LinuxNetworkHost {
  const network = new LinuxNetworkHost(options)
  void watch(network, clock, log, signal)
  return network
}

async function watch(network: LinuxNetworkHost, clock: Clock, log: Log, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(INTERVAL_MS, signal)
    if (signal.aborted) return
    const verified = await network.verifyIsolation()
    if (!verified.ok) log.error("the filter of the guests' ports could not be checked", { cause: verified.error })
    else if (verified.value) log.warn("the filter of the guests' ports had been changed, and was made anew")
  }
}
