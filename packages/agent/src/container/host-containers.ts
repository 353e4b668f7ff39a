/** What this host can do for containers, for its record. */
import type { ContainerHost } from '@stead/core/model/container.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { tryLiveMove } from './live-move-trial.ts'
import { lxcAbilities } from './lxc-abilities.ts'
import { lxcPrograms } from './lxc-spec.ts'

export class HostContainers {
  #record: ContainerHost | undefined

  /** Undefined where containers cannot run; the log says why. */
  get record(): ContainerHost | undefined {
    return this.#record
  }

  async look(nativeDir: string, log: Log): Promise<void> {
    const able = await lxcAbilities(lxcPrograms(nativeDir))
    if (able.ok) this.#record = { lxc: able.value.version }
    else log.warn(able.error.message, { hint: able.error.hint })
  }

  /** Takes up to 20 s, and only says why containers move by a restart: nothing waits for it. */
  async tryLiveMove(): Promise<void> {
    if (!this.#record) return
    const trial = await tryLiveMove()
    const reason = trial.possible ? '' : trial.reason
    this.#record = { ...this.#record, liveMove: { possible: trial.possible, reason } }
  }
}
