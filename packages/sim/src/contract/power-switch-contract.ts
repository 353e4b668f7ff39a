/** What every `PowerSwitch` keeps to: an order is carried out or refused, and a host that is lost to it is lost whole. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { HostId } from '@stead/core/model/ids.ts'
import type { PowerSwitch } from '@stead/core/ports/power-switch.ts'
import type { Result } from '@stead/core/result.ts'

export interface PowerSwitchHarness {
  readonly power: PowerSwitch
  /** One that it feeds, with power, and another one. */
  readonly host: HostId
  readonly other: HostId
  /** Returns once that is so. */
  readonly until: (host: HostId, state: 'on' | 'off') => Promise<void>
}

const codeOf = (result: Result<void>) => (result.ok ? 'done' : result.error.code)

/** `open` is called when the tests run, and ends nothing: whoever calls this does. */
export function powerSwitchContract(name: string, open: () => PowerSwitchHarness): void {
  describe(`PowerSwitch: ${name}`, () => {
    it('cuts the power of one host and gives it back', async () => {
      const { power, host, other, until } = open()
      assert.equal(codeOf(await power.cut(host)), 'done')
      await until(host, 'off')
      await until(other, 'on')
      assert.equal(codeOf(await power.restore(host)), 'done')
      await until(host, 'on')
    })

    it('refuses to cut what has no power, and to give it to what has', async () => {
      const { power, host, until } = open()
      assert.equal(codeOf(await power.restore(host)), 'conflict')
      assert.equal(codeOf(await power.cut(host)), 'done')
      assert.equal(codeOf(await power.cut(host)), 'conflict', 'also while the power is just going')
      await until(host, 'off')
      assert.equal(codeOf(await power.cut(host)), 'conflict')
      assert.equal(codeOf(await power.restore(host)), 'done')
      await until(host, 'on')
    })

    it('knows no other hosts', async () => {
      const { power } = open()
      for (const stranger of ['elsewhere', '../h1', 'h1/off', '%', ''] as HostId[]) {
        assert.equal(codeOf(await power.cut(stranger)), 'not_found', stranger)
        assert.equal(codeOf(await power.restore(stranger)), 'not_found', stranger)
      }
    })
  })
}
