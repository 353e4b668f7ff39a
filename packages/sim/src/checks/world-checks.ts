/** All checkers of a world, told of everything that happens. Each promise is a small file beside this one. */
import type { HostId } from '@stead/core/model/ids.ts'
import type { Transaction } from '@stead/core/ports/store.ts'
import type { Process } from '../memory-machine.ts'
import type { WorldNetwork } from '../world-network.ts'
import type { Evidence } from './evidence.ts'
import { ExplainedOutages } from './explained-outages.ts'
import { KeptReplicas } from './kept-replicas.ts'
import { KeptWrites } from './kept-writes.ts'
import { LawfulGrants } from './lawful-grants.ts'
import { OneWriter } from './one-writer.ts'
import { SelfFencing } from './self-fencing.ts'

const VIOLATIONS_MAX = 20
const LOOKS_PER_READING = 10

export class WorldChecks {
  /** One sentence each; empty in a world in which nothing went wrong. */
  readonly violations: string[] = []
  readonly writes: KeptWrites
  readonly replicas: KeptReplicas
  readonly writers: OneWriter
  readonly grants: LawfulGrants
  readonly outages: ExplainedOutages
  readonly fencing: SelfFencing
  readonly #evidence: Evidence
  #looks = 0

  constructor(evidence: Omit<Evidence, 'violate'>, network: WorldNetwork, leaseTtlMs: number) {
    this.#evidence = { ...evidence, violate: (sentence) => this.violate(sentence) }
    this.writes = new KeptWrites(this.#evidence)
    this.replicas = new KeptReplicas(this.#evidence)
    this.writers = new OneWriter(this.#evidence)
    this.grants = new LawfulGrants(this.#evidence)
    this.outages = new ExplainedOutages(this.#evidence)
    this.fencing = new SelfFencing(this.#evidence, network, leaseTtlMs)
  }

  violate(sentence: string): void {
    if (this.violations.length < VIOLATIONS_MAX)
      this.violations.push(`at ${this.#evidence.clock.monotonicMs().toFixed(0)} ms: ${sentence}`)
  }

  started(host: HostId, process: Process): void {
    this.writers.started(host, process)
    this.writes.started(host, process)
  }

  ended(host: HostId, process: Process): void {
    this.outages.ended(host, process)
    this.writes.ended(process)
  }

  committed(client: HostId, transaction: Transaction): void {
    this.grants.committed(client, transaction)
    this.replicas.committed(transaction)
    this.outages.committed(transaction)
  }

  /** Called often; what is costly is looked at now and then. */
  look(): void {
    this.fencing.look()
    if (++this.#looks % LOOKS_PER_READING === 0) this.writes.look()
  }
}
