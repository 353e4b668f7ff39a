/** The members as this agent was configured with them, and what the store says of them now. */
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { Compare, Store } from '@stead/core/ports/store.ts'
import type { AgentConfig } from '../config.ts'
import { isCertificateOf } from '../trust/certificate-reading.ts'
import type { HostCredentials } from '../trust/host-credentials.ts'
import { MEMBERSHIP_KEY, membershipOf, readMembership } from './membership.ts'

export interface KnownMembersOptions {
  readonly config: Pick<AgentConfig, 'members' | 'etcdMembers'>
  readonly credentials: Pick<HostCredentials, 'material' | 'isRevoked'>
  readonly store: Pick<Store, 'get'>
  readonly mirror: Pick<ClusterMirror, 'state'>
}

export class KnownMembers {
  readonly #options: KnownMembersOptions
  /** Witness included, dead or alive. */
  readonly ids: readonly HostId[]

  constructor(options: KnownMembersOptions) {
    this.#options = options
    this.ids = options.config.members.map(({ hostId }) => hostId as HostId)
  }

  /** That it has shown, signed by one of these authorities (all that are believed, when absent) and not revoked. */
  certificateOf(host: HostId, authorities = this.#options.credentials.material.ca): string | undefined {
    const { mirror, credentials } = this.#options
    const certificate = mirror.state.hosts.get(host)?.value.certificate
    if (certificate === undefined) return undefined
    return isCertificateOf(host, certificate, authorities, (serial) => credentials.isRevoked(serial))
      ? certificate
      : undefined
  }

  /**
   * For a transaction that is right for just these members. Undefined when they are others in the store: this agent is
   * about to start anew.
   */
  async unchanged(): Promise<Compare | undefined> {
    const { config, store } = this.#options
    const found = await store.get(MEMBERSHIP_KEY)
    if (!found.ok) return undefined
    const { members } = found.value ? readMembership(found.value.value) : membershipOf(config)
    const isSame = members.map(({ hostId }) => hostId).join() === this.ids.join()
    return isSame ? { key: MEMBERSHIP_KEY, modRevision: found.value?.modRevision ?? 0n } : undefined
  }
}
