/** The decisions of all hosts: each keeps its own, the others are asked. */
import type { DecisionRecord } from '@stead/core/foresight/decision-record.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { ok, type Result } from '@stead/core/result.ts'
import type { DecisionHistory, DecisionSummary } from './decision-history.ts'

/** The host-to-host calls that this needs and that `decisionCalls` answers. */
interface DecisionPeers {
  readonly online: () => readonly HostId[]
  readonly call: (host: HostId, name: 'list-decisions' | 'find-decision', input: unknown) => Promise<Result<unknown>>
}

const LISTED = 200

export class ClusterDecisions {
  readonly #own: DecisionHistory
  readonly #peers: DecisionPeers

  constructor(own: DecisionHistory, peers: DecisionPeers) {
    this.#own = own
    this.#peers = peers
  }

  /** Of all hosts that answer. */
  async list(): Promise<DecisionSummary[]> {
    const others = await this.#askAll('list-decisions', LISTED)
    return [...this.#own.list(LISTED), ...others.flatMap((answer) => answer as DecisionSummary[])]
  }

  async find(id: string): Promise<DecisionRecord | undefined> {
    const own = await this.#own.find(id)
    if (own) return own
    const others = await this.#askAll('find-decision', id)
    return others.find((answer) => answer !== null) as DecisionRecord | undefined
  }

  async #askAll(name: 'list-decisions' | 'find-decision', input: unknown): Promise<unknown[]> {
    const answers = await Promise.all(this.#peers.online().map((host) => this.#peers.call(host, name, input)))
    return answers.flatMap((answer) => (answer.ok ? [answer.value] : []))
  }
}

/** What a host answers to the others. */
export function decisionCalls(own: DecisionHistory) {
  return {
    'list-decisions': async (limit: unknown) => ok(own.list(Math.min(Number(limit) || 0, LISTED))),
    'find-decision': async (id: unknown) => ok((await own.find(String(id))) ?? null),
  }
}
