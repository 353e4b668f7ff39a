/** What this host can do for containers, for its record. */
import { join } from 'node:path'
import type { ContainerHost } from '@stead/core/model/container.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { CRIU_PATH } from './container-surroundings.ts'
import { tryLiveMove } from './live-move/live-move-trial.ts'
import { lxcAbilities } from './lxc-abilities.ts'
import { lxcPrograms } from './lxc-spec.ts'

interface LiveMovePlace {
  readonly nativeDir: string
  readonly criu?: string | undefined
  readonly stateDir: string
}

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

  /** Takes some seconds, and only says how containers move: nothing waits for it. */
  async tryLiveMove({ nativeDir, criu = CRIU_PATH, stateDir }: LiveMovePlace): Promise<void> {
    if (!this.#record) return
    const trial = await tryLiveMove({ nativeDir, criu, folder: join(stateDir, 'trial') })
    const { possible, version } = trial
    const liveMove = { possible, reason: trial.possible ? '' : trial.reason, ...(version ? { criu: version } : {}) }
    this.#record = { ...this.#record, liveMove }
  }
}
