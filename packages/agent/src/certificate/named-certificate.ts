/**
 * What those are shown who come to the public port by a name of the authority's certificate. Everybody else, as who comes by
 * an address, sees the cluster's own: what has been told of that goes on to work.
 */
import { createSecureContext, type SecureContext } from 'node:tls'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { currentPair } from './held-keys.ts'

export interface NamedCertificate {
  readonly fingerprint: string
  readonly context: SecureContext
  holds(name: string): boolean
}

export interface NamedCertificateOptions {
  readonly store: Pick<Store, 'get'>
  readonly log: Log
}

/** `undefined`: there is none, or it is over, or this host cannot open its key yet (`isLate`). */
export interface NamedNow {
  readonly certificate: NamedCertificate | undefined
  readonly isLate: boolean
}

export class NamedCertificates {
  readonly #options: NamedCertificateOptions
  #present: NamedCertificate | undefined

  constructor(options: NamedCertificateOptions) {
    this.#options = options
  }

  /** Of another one the key is read from the store, once; it is in memory alone. */
  async look({ wantedCertificate, certificateProgress }: ClusterState, nowMs: number): Promise<NamedNow> {
    const given = wantedCertificate ? certificateProgress?.value.given : undefined
    if (!given || nowMs >= given.notAfter) return { certificate: (this.#present = undefined), isLate: false }
    if (this.#present?.fingerprint === given.fingerprint) return { certificate: this.#present, isLate: false }
    const pair = await currentPair(this.#options.store)
    // The former one is good for a while yet: it is renewed with a third of its life left.
    if (!pair.ok || !pair.value) {
      if (!pair.ok && pair.error.code !== 'secrets_locked')
        this.#options.log.warn('the certificate of the web cannot be read yet', { cause: pair.error })
      return { certificate: this.#present, isLate: true }
    }
    const { certificate, key } = pair.value
    this.#present = {
      fingerprint: given.fingerprint,
      context: createSecureContext({ cert: certificate, key, minVersion: 'TLSv1.2' }),
      holds: (name) => given.names.some((one) => isOf(one, name.toLowerCase())),
    }
    return { certificate: this.#present, isLate: false }
  }
}

/** A star stands for one label (RFC 9525). */
function isOf(pattern: string, name: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === name
  const dot = name.indexOf('.')
  return dot > 0 && name.slice(dot) === pattern.slice(1)
}
