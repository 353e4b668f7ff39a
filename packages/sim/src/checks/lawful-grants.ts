/**
 * Grants come from the coordinator of that moment, grow by one, and promise no host more memory than it has. Looks at
 * everything that is committed.
 */
import type { CoordinatorClaim } from '@stead/core/model/cluster.ts'
import { newestEpoch, type Grant } from '@stead/core/model/grant.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { Host, HostStatus } from '@stead/core/model/host.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS, PREFIX } from '@stead/core/model/keys.ts'
import { isActive } from '@stead/core/model/records.ts'
import type { Transaction } from '@stead/core/ports/store.ts'
import type { Evidence } from './evidence.ts'

const GRANTS = `${PREFIX}grants/`
const STATUSES = `${PREFIX}statuses/`

export class LawfulGrants {
  readonly #evidence: Evidence
  readonly #grants = new Map<string, Grant>()
  /** Who coordinated before the transaction at hand. */
  #coordinator: HostId | undefined

  constructor(evidence: Evidence) {
    this.#evidence = evidence
  }

  committed(client: HostId, { writes }: Transaction): void {
    for (const write of writes) {
      if (write.kind !== 'put') {
        if (write.kind === 'delete' && write.key.startsWith(GRANTS)) this.#grants.delete(write.key)
      } else if (write.key.startsWith(GRANTS)) this.#granted(client, write.key, JSON.parse(write.value) as Grant)
      else if (write.key.startsWith(STATUSES)) this.#decided(client, write.key)
    }
    this.#coordinator = this.#evidence.record<CoordinatorClaim>(KEYS.coordinator)?.host
  }

  #granted(client: HostId, key: string, grant: Grant): void {
    const old = this.#grants.get(key)
    this.#grants.set(key, grant)
    if (old?.epoch === grant.epoch) return
    const { violate, record } = this.#evidence
    const what = `${grant.guest} was granted to ${grant.host} at epoch ${grant.epoch}`
    if (old?.handover?.epoch === grant.epoch) {
      // A live move was decided by the coordinator; that it has been carried out is said by the host that had the guest.
      if (client !== old.host || old.handover.to !== grant.host)
        violate(`${what} by ${client}, but ${old.host} was to hand it over to ${old.handover.to}`)
    } else {
      this.#decided(client, key)
      if (grant.epoch !== newestEpoch(old) + 1) violate(`${what} after epoch ${newestEpoch(old)}`)
    }
    const host = record<Host>(KEYS.host(grant.host))
    if (host?.role !== 'compute') violate(`${what}, which runs no guests`)
    let bytes = 0
    for (const each of this.#grants.values())
      if (isActive(each) && (each.host === grant.host || this.#isOnItsWay(each, grant.host)))
        bytes += record<Guest>(KEYS.guest(each.guest))?.memoryBytes ?? 0
    if (host && bytes > host.memoryBytes) violate(`${what}: its guests now take ${bytes} of ${host.memoryBytes} bytes`)
  }

  /** From a host that is lost nothing arrives any more. */
  #isOnItsWay({ host, handover }: Grant, to: HostId): boolean {
    return handover?.to === to && this.#evidence.record<HostStatus>(KEYS.status(host))?.state !== 'lost'
  }

  #decided(client: HostId, key: string): void {
    if (client !== this.#coordinator)
      this.#evidence.violate(`${client} wrote ${key} while ${this.#coordinator ?? 'nobody'} was the coordinator`)
  }
}
