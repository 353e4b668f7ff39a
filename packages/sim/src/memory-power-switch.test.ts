import assert from 'node:assert/strict'
import { after } from 'node:test'
import type { HostId } from '@stead/core/model/ids.ts'
import { powerSwitchContract } from './contract/power-switch-contract.ts'
import { MemoryPowerSwitch } from './memory-power-switch.ts'
import { World } from './world.ts'

const world = new World({ seed: 1, guests: {} })
const power = new MemoryPowerSwitch(world)
after(() => world.close())

powerSwitchContract('of a simulated world', () => ({
  power,
  ...{ host: 'h2' as HostId, other: 'h3' as HostId },
  until: async (host, state) => assert.equal(power.hasPower(host), state === 'on'),
}))
