/** Faults without a process of their own for each: what must hit a moment of milliseconds is done in this very one. */
import { cutBetween, dropLinks } from '@stead/lab/cables.ts'
import { findLab } from '@stead/lab/lab.ts'
import { powerOff, signalProcess, type ProcessKind } from '@stead/lab/lab-host.ts'
import { labPlaces } from '@stead/lab/topology.ts'
import type { Result } from '@stead/core/result.ts'
import type { LabCluster } from './lab-cluster.ts'

export class InstantFaults {
  readonly #boot: Parameters<typeof powerOff>[0]
  readonly hosts: readonly string[]

  constructor({ env }: LabCluster) {
    const { boot, notes } = must(findLab(env, must(labPlaces(env))))
    this.#boot = boot
    this.hosts = notes.hosts.map(({ id }) => id)
  }

  /** Harmless when none of that kind runs there any more. */
  signal(host: string, kind: ProcessKind, signal: NodeJS.Signals = 'SIGKILL'): void {
    signalProcess(this.#boot, host, kind, signal)
  }

  async powerOff(host: string): Promise<void> {
    must(await dropLinks(this.#boot.places.lab, host))
    must(await powerOff(this.#boot, host))
  }

  async cutBetween(first: string, second: string): Promise<void> {
    must(await cutBetween(this.#boot.places, first, second))
  }
}

function must<T>(result: Result<T>): T {
  if (result.ok) return result.value
  throw new Error(result.error.message, { cause: result.error })
}
