/** The agent inside a guest, asked by the host on which the guest runs, for a user at any host. */
import { failure } from '@stead/core/errors.ts'
import type { HostContext } from '@stead/core/host/host-context.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import { isActive } from '@stead/core/model/records.ts'
import type { GuestAgent, GuestCommand } from '@stead/core/ports/guest-agent.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Peers } from '../peers.ts'
import type { Desk } from './desk.ts'
import { guestState } from './views.ts'

/** What is asked for a user; a freeze is not, since its bound and its thaw belong to who makes a snapshot. */
export type AskableAgent = Pick<GuestAgent, 'ping' | 'system' | 'interfaces' | 'freezeStatus' | 'execute'>
type AskGuestAgent = (guest: Guest) => AskableAgent

type Answers = Pick<
  ApiBackend,
  'guest-agent.ping' | 'guest-agent.info' | 'guest-agent.addresses' | 'guest-agent.execute'
>

/** A call between hosts waits so much longer than the agent itself. */
const CALL_MS = 8_000
/** How long `vm show` waits for the addresses. */
const SHOW_MS = 700
const CALL = 'guest-agent'

export function guestAgentEndpoints(desk: Desk): Answers {
  const { guestAgentOf, clock } = desk.context
  const withAgent = async <T>(
    nameOrId: string,
    ask: (agent: AskableAgent, guest: Guest) => Promise<Result<T>>,
  ): Promise<Result<T>> => {
    const found = desk.findGuest(nameOrId)
    if (!found.ok) return found
    const { value: guest } = found.value
    return ask(guestAgentOf(guest), guest)
  }
  return {
    'guest-agent.ping': ({ params }) =>
      withAgent(params.guest, async (agent, guest) => {
        const began = clock.monotonicMs()
        const answer = await agent.ping(guest.id)
        return answer.ok ? ok({ guest: guest.name, answeredMs: Math.round(clock.monotonicMs() - began) }) : answer
      }),
    'guest-agent.info': ({ params }) =>
      withAgent(params.guest, async (agent, guest) => {
        const system = await agent.system(guest.id)
        if (!system.ok) return system
        const status = await agent.freezeStatus(guest.id)
        return status.ok ? ok({ guest: guest.name, ...system.value, fileSystems: status.value }) : status
      }),
    'guest-agent.addresses': ({ params }) =>
      withAgent(params.guest, async (agent, guest) => {
        const found = await agent.interfaces(guest.id)
        return found.ok ? ok({ guest: guest.name, interfaces: mutable(found.value) }) : found
      }),
    'guest-agent.execute': ({ params, body }) =>
      withAgent(params.guest, async (agent, guest) => {
        const { command, timeoutMs, input } = body
        const outcome = await agent.execute(guest.id, {
          command,
          timeoutMs,
          ...(input === undefined ? {} : { input }),
        })
        if (!outcome.ok) return outcome
        const { exitCode = null, signal = null, stdout, stderr, truncated } = outcome.value
        return ok({ guest: guest.name, exitCode, signal, stdout, stderr, truncated })
      }),
  }
}

/** The guest's addresses for `vm show`; null when nobody can tell now. */
export async function addressesOf(desk: Desk, guest: Guest): Promise<string[] | null> {
  const { guestAgentOf, clock } = desk.context
  // A guest that stands still says nothing, and an agent that takes its time is not worth the wait here.
  if (guestState(desk.view(), guest).state !== 'running') return null
  const found = await Promise.race([guestAgentOf(guest).interfaces(guest.id), clock.sleep(SHOW_MS)])
  return found?.ok ? found.value.flatMap(({ addresses }) => addresses) : null
}

function mutable<T extends { readonly addresses: readonly string[] }>(interfaces: readonly T[]) {
  return interfaces.map((each) => ({ ...each, addresses: [...each.addresses] }))
}

/** The agent of a guest, wherever it runs. */
export function askGuestAgent(context: HostContext, peers: Peers): AskGuestAgent {
  return (guest) => {
    const grant = context.mirror.state.grants.get(guest.id)?.value
    if (!isActive(grant)) {
      const idle = async () =>
        fail(
          failure('conflict', `${guest.name} does not run`, { hint: `Start it with \`stead vm start ${guest.name}\`` }),
        )
      return { ping: idle, system: idle, interfaces: idle, freezeStatus: idle, execute: idle }
    }
    if (grant.host === context.self) return localAgent(context)
    const call = async (method: string, id: GuestId, command?: GuestCommand) =>
      peers
        .client(grant.host)
        .callGuest(CALL, { method, guest: id, command }, CALL_MS + (command?.timeoutMs ?? 0)) as Promise<Result<never>>
    return {
      ping: (id) => call('ping', id),
      system: (id) => call('system', id),
      interfaces: (id) => call('interfaces', id),
      freezeStatus: (id) => call('freezeStatus', id),
      execute: (id, command) => call('execute', id, command),
    }
  }
}

/** What other hosts may ask of this one's guests. */
export function guestAgentCalls(
  context: HostContext,
): Readonly<Record<string, (input: unknown) => Promise<Result<unknown>>>> {
  const agent = localAgent(context)
  return {
    [CALL]: async (input) => {
      const { method, guest, command } = input as { method: string; guest: GuestId; command?: GuestCommand }
      switch (method) {
        case 'ping':
        case 'system':
        case 'interfaces':
        case 'freezeStatus':
          return agent[method](guest)
        case 'execute':
          if (command) return agent.execute(guest, command)
      }
      return fail(failure('bad_request', `This host knows no call ${method} of a guest's agent`))
    },
  }
}

/** Whether programs may be run is looked up here, on the host that would do it. */
function localAgent({ guestAgent, mirror }: HostContext): AskableAgent {
  return {
    ping: (guest) => guestAgent.ping(guest),
    system: (guest) => guestAgent.system(guest),
    interfaces: (guest) => guestAgent.interfaces(guest),
    freezeStatus: (guest) => guestAgent.freezeStatus(guest),
    execute: async (id, command) => {
      const guest = mirror.state.guests.get(id)?.value
      // Whoever may execute may enter a container anyway: it has no door of its own to close.
      if (guest?.kind === 'ct' || guest?.agent?.execute) return guestAgent.execute(id, command)
      const name = guest?.name ?? id
      return fail(
        failure('conflict', `${name} does not allow programs to be run in it from outside`, {
          hint: `\`stead vm set ${name} --agent-exec\` allows it`,
        }),
      )
    },
  }
}
