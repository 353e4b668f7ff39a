/** Pulls the plugs of a simulated world's hosts, as the power strip of a lab does. */
import { failure } from '@stead/core/errors.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { PowerSwitch } from '@stead/core/ports/power-switch.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { World } from './world.ts'

export class MemoryPowerSwitch implements PowerSwitch {
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  async cut(host: HostId): Promise<Result<void>> {
    return this.#switch(host, 'off')
  }

  async restore(host: HostId): Promise<Result<void>> {
    return this.#switch(host, 'on')
  }

  /** It may hang. */
  hasPower(host: HostId): boolean {
    return this.#world.network.presence(host) !== 'off'
  }

  #switch(id: HostId, wanted: 'off' | 'on'): Result<void> {
    if (!this.#world.hostIds.includes(id)) return fail(failure('not_found', `no outlet feeds ${id}`))
    const host = this.#world.host(id)
    if (this.hasPower(id) === (wanted === 'on'))
      return fail(failure('conflict', `${id} has ${wanted === 'on' ? 'power' : 'no power'} already`))
    if (wanted === 'off') host.powerOff()
    else host.powerOn()
    return ok()
  }
}
