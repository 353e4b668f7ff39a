/** What is asked of a cluster as soon as this host's agent is up: by its unix socket, as root of the host. */
import { join } from 'node:path'
import { createClient, type Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { SetupAnswers, SetupOutcome } from '@stead/api/endpoints/set-up.ts'
import type { Transport } from '@stead/api/transport.ts'
import { failure } from '@stead/core/errors.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { PUBLIC_API_PORT } from '../http/public-api.ts'
import type { SetupStep } from './set-up-host.ts'

const AGENT_STARTS_MS = 120_000
const LOOK_MS = 500
/** An agent that has just started makes certificates. */
const ANSWER_MS = 30_000
const ROLE = 'Administrator'

/** How the steps reach the agent that starts meanwhile. */
export interface AgentReach {
  readonly stateDir: string
  readonly transport: Transport
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
}

export class FirstSteps {
  readonly #answers: SetupAnswers
  readonly #reach: AgentReach
  readonly #client: Client
  #fingerprint: string | null = null
  #administrator: SetupOutcome['administrator'] = null
  #invitations: SetupOutcome['invitations'] = []

  constructor(answers: SetupAnswers, reach: AgentReach) {
    this.#answers = answers
    this.#reach = reach
    const target = { unix: join(reach.stateDir, 'agent.sock') }
    this.#client = createClient({ targets: [target], transport: reach.transport, headersTimeoutMs: ANSWER_MS })
  }

  /** What the answers ask for beyond the host itself. */
  get wanted(): readonly SetupStep[] {
    const answers = this.#answers
    if (answers.kind === 'join') return []
    const { clusterAddress, administrator, invite } = answers
    return [
      ...(clusterAddress === undefined
        ? []
        : [{ text: `give the cluster the address ${clusterAddress}`, run: () => this.#setAddress(clusterAddress) }]),
      ...(administrator === undefined
        ? []
        : [{ text: `make ${administrator} an administrator`, run: () => this.#makeAdministrator(administrator) }]),
      ...invite.map((role) => ({
        text: `make a token for ${role === 'witness' ? 'a witness' : 'one more host'}`,
        run: () => this.#invite(role),
      })),
    ]
  }

  get waiting(): SetupStep {
    return { text: 'wait for the agent', run: () => this.#untilUp() }
  }

  get outcome(): SetupOutcome {
    const { kind, addresses } = this.#answers
    const shared = kind === 'init' ? this.#answers.clusterAddress : undefined
    const places = [shared, addresses.lan].filter((address) => address !== undefined)
    return {
      web: places.map((address) => `https://${address}:${PUBLIC_API_PORT}`),
      fingerprint: this.#fingerprint,
      administrator: this.#administrator,
      invitations: this.#invitations,
    }
  }

  async #untilUp(): Promise<Result<void>> {
    const { clock } = this.#reach
    const deadline = clock.monotonicMs() + AGENT_STARTS_MS
    for (;;) {
      const loaded = await this.#client.call(ENDPOINTS['cluster.show'])
      const shown = loaded.ok ? await this.#client.call(ENDPOINTS['auth.authority']) : loaded
      if (shown.ok) {
        this.#fingerprint = shown.value.fingerprint
        return ok()
      }
      if (clock.monotonicMs() > deadline)
        return fail(
          failure('host_unreachable', 'The host is set up, but its agent does not answer', {
            hint: 'Does it run? systemctl status stead-agent, journalctl -u stead-agent',
            cause: shown.error,
          }),
        )
      await clock.sleep(LOOK_MS)
    }
  }

  async #setAddress(clusterAddress: string): Promise<Result<void>> {
    const set = await this.#client.call(ENDPOINTS['policy.set'], { body: { clusterAddress } })
    return set.ok ? ok() : set
  }

  async #makeAdministrator(user: string): Promise<Result<void>> {
    const made = await this.#client.call(ENDPOINTS['user.create'], { body: { name: user } })
    if (!made.ok) return made
    const granted = await this.#client.call(ENDPOINTS['permission.grant'], {
      body: { subject: { kind: 'user', name: user }, role: ROLE, path: '/' },
    })
    if (!granted.ok) return granted
    const reset = await this.#client.call(ENDPOINTS['user.reset-password'], { params: { user } })
    if (!reset.ok) return reset
    this.#administrator = { user, password: reset.value.password }
    return ok()
  }

  async #invite(role: 'compute' | 'witness'): Promise<Result<void>> {
    const made = await this.#client.call(ENDPOINTS['host.invite'], { body: { role } })
    if (!made.ok) return made
    this.#invitations = [...this.#invitations, made.value]
    return ok()
  }
}
