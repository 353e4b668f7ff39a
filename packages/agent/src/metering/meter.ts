/** Counts, on the coordinator, what projects use. docs/internals/access.md */
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { counted, hourOf, ratesOf, type OpenHour } from '@stead/core/model/metering.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store, Write } from '@stead/core/ports/store.ts'

const COUNT_MS = 20_000
/** In the store; the hosts' own copies keep them for longer. */
export const HOURS_IN_STORE_MS = 14 * 24 * 3_600_000

export interface MeterContext {
  readonly self: HostId
  readonly store: Store
  readonly mirror: ClusterMirror
  readonly clock: Clock
  readonly log: Log
}

export async function keepMetering(context: MeterContext, signal: AbortSignal): Promise<void> {
  const { clock, mirror, self, log } = context
  while (!signal.aborted) {
    await clock.sleep(COUNT_MS, signal)
    if (signal.aborted || mirror.state.coordinator?.value.host !== self) continue
    try {
      await countNow(context)
    } catch (error) {
      log.error('what projects use could not be counted', { error })
    }
  }
}

/**
 * One count. Whether a transaction whose outcome is unknown was committed does not matter: the next count reads what the
 * store holds, and goes on from there. So it does after another host has counted meanwhile.
 */
export async function countNow({ store, mirror, clock }: MeterContext): Promise<void> {
  const found = await store.get(KEYS.metering)
  if (!found.ok) return
  const before = found.value ? (JSON.parse(found.value.value) as OpenHour) : undefined
  const count = counted(before, ratesOf(mirror.state), clock.wallMs())
  if (!count) return
  const put = (key: string, value: unknown): Write => ({ kind: 'put', key, value: JSON.stringify(value) })
  await store.transact({
    compares: [
      { key: KEYS.metering, modRevision: found.value?.modRevision ?? 0n },
      { key: KEYS.coordinator, modRevision: mirror.state.coordinator?.revision ?? 0n },
    ],
    writes: [
      put(KEYS.metering, count.open),
      ...count.closed.flatMap((hour): Write[] => [
        put(KEYS.usageHour(hour.hour), hour),
        { kind: 'delete', key: KEYS.usageHour(hourOf(Date.parse(hour.hour) - HOURS_IN_STORE_MS)) },
      ]),
    ],
  })
}
