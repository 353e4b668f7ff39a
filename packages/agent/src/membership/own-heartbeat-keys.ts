/**
 * The keys of the heartbeats as this host has them: kept in its configuration, so that it is heard again after a boot
 * without a store, told to its guardian, and followed as the store tells of others. docs/internals/trust.md.
 */
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import { FIRST_HEARTBEAT_KEY, type HeartbeatKey } from '@stead/core/model/heartbeat-key.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Fence } from '@stead/core/ports/fence.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { ok, type Result } from '@stead/core/result.ts'
import { WakeableSleep } from '@stead/core/wakeable-sleep.ts'
import type { GuardianUpdate } from '../guardian/control-server.ts'
import type { HeartbeatKeys } from '../guardian/heartbeat-keys.ts'
import type { HostCredentials } from '../trust/host-credentials.ts'
import { openSealed } from '../trust/sealed-to-hosts.ts'

/** What was not done is tried again; news wake it. */
const LOOK_MS = 60_000

export interface OwnHeartbeatKeysOptions {
  readonly host: string
  /** As this host was configured with. */
  readonly keys: HeartbeatKeys
  readonly credentials: Pick<HostCredentials, 'material'>
  readonly store: Pick<Store, 'get'>
  readonly mirror: Pick<ClusterMirror, 'state' | 'onChange'>
  readonly guardian: Pick<Fence, 'view' | 'subscribe'> & { readonly update: (update: GuardianUpdate) => void }
  /** For the next start of the agent, and of the guardian. Throws when it cannot be written. */
  readonly keep: (keys: HeartbeatKeys) => void
  /** Tells the cluster which generation the guardian has now. */
  readonly acknowledge: () => Promise<void>
  readonly clock: Clock
  readonly log: Log
}

export class OwnHeartbeatKeys {
  readonly #options: OwnHeartbeatKeysOptions
  #keys: HeartbeatKeys

  constructor(options: OwnHeartbeatKeysOptions) {
    this.#options = options
    this.#keys = options.keys
  }

  get keys(): HeartbeatKeys {
    return this.#keys
  }

  /** As the store tells at this moment, for a host that has none yet. */
  async newest(): Promise<Result<HeartbeatKeys>> {
    const found = await this.#options.store.get(KEYS.heartbeatKey)
    if (!found.ok) return found
    return this.#by(found.value ? (JSON.parse(found.value.value) as HeartbeatKey) : FIRST_HEARTBEAT_KEY)
  }

  async follow(signal: AbortSignal): Promise<void> {
    const { mirror, guardian, acknowledge, clock } = this.#options
    const rest = new WakeableSleep(clock)
    let seen = mirror.state.heartbeatKey
    let acknowledged: number | undefined
    const offs = [
      mirror.onChange(({ heartbeatKey }) => {
        if (heartbeatKey === seen) return
        seen = heartbeatKey
        rest.wake()
      }),
      guardian.subscribe(({ keyGeneration }) => {
        if (keyGeneration !== acknowledged) rest.wake()
      }),
    ]
    guardian.update({ keys: this.#keys })
    while (!signal.aborted) {
      await this.#adopt(mirror.state.heartbeatKey?.value)
      const taken = guardian.view()?.keyGeneration
      if (taken !== undefined && taken !== acknowledged) {
        await acknowledge()
        acknowledged = taken
      }
      await rest.sleep(LOOK_MS, signal)
    }
    for (const off of offs) off()
  }

  async #adopt(record: HeartbeatKey | undefined): Promise<void> {
    const { guardian, keep, log } = this.#options
    if (!record) return
    const next = await this.#by(record)
    if (!next.ok) return log.error('the new key of the heartbeats cannot be read', { cause: next.error })
    const { generation, former } = next.value
    if (generation === this.#keys.generation && former === this.#keys.former) return
    this.#keys = next.value
    try {
      keep(next.value)
    } catch (error) {
      // Then this host has it from the store again when it has started anew.
      log.warn('the new key of the heartbeats could not be kept', { error })
    }
    guardian.update({ keys: next.value })
    log.info('heartbeats have another key', { generation, formerCounts: former !== undefined })
  }

  async #by({ generation, formerCounts, sealed }: HeartbeatKey): Promise<Result<HeartbeatKeys>> {
    const { host, credentials } = this.#options
    let keys = this.#keys
    if (generation > keys.generation) {
      const opened = await openSealed(sealed, host, credentials.material.key)
      if (!opened.ok) return opened
      keys = { ...(opened.value as Pick<HeartbeatKeys, 'key' | 'former'>), generation }
    }
    const { former, ...present } = keys
    return ok(formerCounts && former !== undefined ? { ...present, former } : present)
  }
}
