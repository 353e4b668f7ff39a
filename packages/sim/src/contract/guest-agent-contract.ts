/** What every `GuestAgent` must do, written once. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { GuestAgent } from '@stead/core/ports/guest-agent.ts'
import { must } from './guest-host-contract.ts'

export interface GuestAgentHarness {
  readonly agent: GuestAgent
  /** Runs, with a program that answers on the channel and at least one file system on a disk. */
  readonly guest: GuestId
  /** Runs without an agent inside. */
  readonly silentGuest: GuestId
  /** What a restarted agent of the host would use; the old one does and says nothing more. */
  restartAgent(): Promise<GuestAgent>
  close(): Promise<void>
}

/** How long to wait for a thaw that comes by itself. */
const THAW_WAIT_MS = 15_000

export function guestAgentContract(name: string, make: () => Promise<GuestAgentHarness>): void {
  describe(`GuestAgent contract: ${name}`, () => {
    let harness: GuestAgentHarness
    let agent: GuestAgent
    let guest: GuestId

    before(async () => {
      harness = await make()
      agent = harness.agent
      guest = harness.guest
    })
    after(() => harness?.close())

    async function untilThawed(): Promise<void> {
      const deadline = performance.now() + THAW_WAIT_MS
      while (must(await agent.freezeStatus(guest)) !== 'thawed') {
        assert.ok(performance.now() < deadline, 'the guest stays frozen')
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }

    it('speaks with the agent and is told of the system and its network', async () => {
      must(await agent.ping(guest))
      const system = must(await agent.system(guest))
      assert.notEqual(system.agentVersion, '')
      const interfaces = must(await agent.interfaces(guest))
      assert.ok(!interfaces.some(({ name: device }) => device === 'lo'))
    })

    it('says at once that there is no agent, or no such guest', async () => {
      for (const call of ['ping', 'system', 'interfaces', 'freezeStatus', 'shutdown'] as const) {
        refused(await agent[call](harness.silentGuest), 'no_guest_agent')
        refused(await agent[call]('nobody' as GuestId), 'not_found')
      }
      refused(await agent.freeze(harness.silentGuest, 1_000), 'no_guest_agent')
    })

    it('runs a program and brings back what it said', async () => {
      const run = (command: readonly string[], input?: string) =>
        agent.execute(guest, { command, timeoutMs: 10_000, ...(input === undefined ? {} : { input }) })
      const said = must(await run(['/bin/echo', 'a b', '$HOME']))
      assert.deepEqual([said.exitCode, said.stdout], [0, 'a b $HOME\n'], 'no shell reads the arguments')
      assert.equal(must(await run(['/bin/cat'], 'given')).stdout, 'given')
      assert.equal(must(await run(['/bin/false'])).exitCode, 1)
      refused(await run(['/no/such/program']), 'conflict')
    })

    it('freezes until it is told to thaw', async () => {
      must(await agent.freeze(guest, 30_000))
      assert.equal(must(await agent.freezeStatus(guest)), 'frozen')
      refused(await agent.freeze(guest, 30_000), 'conflict')
      must(await agent.ping(guest))
      assert.deepEqual(must(await agent.thaw(guest)), { held: true })
      assert.equal(must(await agent.freezeStatus(guest)), 'thawed')
      assert.deepEqual(must(await agent.thaw(guest)), { held: false }, 'a thaw too much is harmless')
    })

    it('thaws by itself after the bound, and says that the freeze did not hold', async () => {
      must(await agent.freeze(guest, 50))
      await untilThawed()
      assert.deepEqual(must(await agent.thaw(guest)), { held: false })
    })

    it('a restarted agent thaws what its predecessor froze', async () => {
      must(await agent.freeze(guest, 60_000))
      agent = await harness.restartAgent()
      await untilThawed()
      assert.deepEqual(must(await agent.thaw(guest)), { held: false })
    })
  })
}

function refused(result: { readonly ok: boolean; readonly error?: { readonly code: string } }, code: string): void {
  assert.equal(result.ok ? 'ok' : result.error?.code, code)
}
