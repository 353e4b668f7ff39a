/** The other hosts as this agent calls them: one client each, with all addresses that the host's record names. */
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { BlobId, HostId } from '@stead/core/model/ids.ts'
import type { NetworkRole } from '@stead/core/model/host.ts'
import type { VolumeHost } from '@stead/core/ports/volume-host.ts'
import type { Readable } from 'node:stream'
import type { HostCredentials } from './trust/host-credentials.ts'
import { HostClient } from './http/host-client.ts'
import { RemoteVolumeHost } from './http/remote-volume-host.ts'

/** Storage calls prefer the network of their own; the others stand in when it is cut. */
const PREFERENCE: readonly NetworkRole[] = ['san', 'ran', 'lan']

interface Peer {
  readonly client: HostClient
  readonly volumes: VolumeHost
  readonly addresses: string
}

export class Peers {
  readonly #self: HostId
  readonly #mirror: ClusterMirror
  readonly #credentials: HostCredentials
  readonly #peers = new Map<HostId, Peer>()

  constructor(self: HostId, mirror: ClusterMirror, credentials: HostCredentials) {
    this.#self = self
    this.#mirror = mirror
    this.#credentials = credentials
  }

  client(host: HostId): HostClient {
    return this.#peer(host).client
  }

  volumes(host: HostId, via?: NetworkRole): VolumeHost {
    if (via === undefined) return this.#peer(host).volumes
    const record = this.#mirror.state.hosts.get(host)?.value
    const address = record?.addresses[via]
    const addresses = address === undefined ? [] : [address]
    const [port, credentials] = [record?.agentPort ?? 0, this.#credentials]
    return new RemoteVolumeHost(new HostClient({ host, addresses, port, credentials, keepAlive: false }))
  }

  /** All other hosts that the cluster holds to be online. */
  online(): HostId[] {
    const { hosts, statuses } = this.#mirror.state
    return [...hosts.keys()].filter((id) => id !== this.#self && statuses.get(id)?.value.state === 'online')
  }

  /** The blob from the first other host that has it. */
  async fetchBlob(blob: BlobId): Promise<Readable | undefined> {
    for (const host of this.online()) {
      const stream = await this.client(host).blob(blob, AbortSignal.timeout(600_000))
      if (stream.ok) return stream.value
    }
    return undefined
  }

  #peer(host: HostId): Peer {
    const record = this.#mirror.state.hosts.get(host)?.value
    const addresses = PREFERENCE.flatMap((role) => record?.addresses[role] ?? [])
    const known = this.#peers.get(host)
    if (known?.addresses === addresses.join()) return known
    known?.client.close()
    const client = new HostClient({ host, addresses, port: record?.agentPort ?? 0, credentials: this.#credentials })
    const peer = { client, volumes: new RemoteVolumeHost(client), addresses: addresses.join() }
    this.#peers.set(host, peer)
    return peer
  }
}
