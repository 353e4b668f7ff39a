/** What this host can do for containers, for its record. */
import type { ContainerHost } from '@stead/core/model/container.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { tryLiveMove } from './live-move-trial.ts'
import { lxcAbilities } from './lxc-abilities.ts'
import { lxcPrograms } from './lxc-spec.ts'

/** Undefined where containers cannot run; the log says why. */
export async function containersOf(nativeDir: string, log: Log): Promise<ContainerHost | undefined> {
  const able = await lxcAbilities(lxcPrograms(nativeDir))
  if (able.ok) {
    const trial = await tryLiveMove()
    const reason = trial.possible ? '' : trial.reason
    return { lxc: able.value.version, liveMove: { possible: trial.possible, reason } }
  }
  log.warn(able.error.message, { hint: able.error.hint })
  return undefined
}
