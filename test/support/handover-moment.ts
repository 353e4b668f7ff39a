/** The moment in which a live move is decided: the transaction that makes the guest the other host's. */
import assert from 'node:assert/strict'
import { createInterface } from 'node:readline'
import type { Grant } from '@stead/core/model/grant.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { STEAD, type LabCluster } from './lab-cluster.ts'

const BOUND_MS = 60_000

export class HandoverMoment {
  /** Resolves a few milliseconds after the transaction; rejects when none came in a minute. */
  readonly come: Promise<void>
  readonly #end: () => void

  private constructor(come: Promise<void>, end: () => void) {
    this.come = come
    this.#end = end
  }

  /** Watches, in the store of one host, for the end of the run at this epoch. Always end it. */
  static async watch(lab: LabCluster, host: string, guest: string, epoch: number): Promise<HandoverMoment> {
    const key = KEYS.grant(guest as GuestId)
    const found = await lab.etcdctl(host, 'get', key, '-w', 'json')
    const { header } = JSON.parse(found.stdout) as { readonly header: { readonly revision: number } }
    const watch = lab.etcdctlCommand(host, 'watch', key, '--rev', `${header.revision + 1}`)
    const child = lab.spawn(STEAD, ['lab', 'exec', host, '--', ...watch])
    assert(child.stdout)
    const lines = createInterface({ input: child.stdout })
    const come = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${guest} was not handed over`)), BOUND_MS)
      lines.on('line', (line) => {
        if (!line.startsWith('{') || (JSON.parse(line) as Grant).epoch <= epoch) return
        clearTimeout(timer)
        resolve()
      })
      lines.on('close', () => clearTimeout(timer))
    })
    return new HandoverMoment(come, () => {
      lines.close()
      child.kill('SIGKILL')
    })
  }

  end(): void {
    this.#end()
  }
}
