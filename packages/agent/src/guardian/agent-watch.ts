/**
 * An agent that hangs harms no guest by that, but nobody drops a dead leg meanwhile, and a guest whose disk waits for it
 * stands still. The guardian ends such an agent; init starts it again, and it adopts everything.
 */
import type { Log } from '@stead/core/ports/log.ts'
import { isAlive, signal, type DetachedProcess } from '../process/detached.ts'

/** How often the agent says that it lives. */
export const AGENT_SIGN_MS = 2_000
/** Its longest known silence is a large plan, some hundred ms; a starved machine may take much longer. */
const SILENCE_MS_MAX = 10_000
/** A look that comes so late means that the guardian itself stood still, and the agent with it. */
const LATE_MS = 2_000

export class AgentWatch {
  readonly #log: Log
  #agent: DetachedProcess | undefined
  #heardAt = 0
  #lookedAt = 0

  constructor(log: Log) {
    this.#log = log
  }

  /** The agent has said that it lives. `now`: monotonic ms. */
  alive(agent: DetachedProcess, now: number): void {
    this.#agent = agent
    this.#heardAt = now
  }

  /** To be called at every beat. */
  look(now: number): void {
    if (now - this.#lookedAt > LATE_MS) this.#heardAt = now
    this.#lookedAt = now
    const agent = this.#agent
    if (!agent || now - this.#heardAt <= SILENCE_MS_MAX) return
    // Until the next one presents itself.
    this.#agent = undefined
    if (!isAlive(agent)) return
    this.#log.error('the agent hangs and is ended, to be started again', {
      pid: agent.pid,
      silentForMs: now - this.#heardAt,
    })
    signal(agent, 'SIGKILL')
  }
}
