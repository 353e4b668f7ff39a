/** Where a replica can go: no host holds two of one volume, but one may move to another pool of its host. */
import type { HostView, VolumeView } from '@stead/api/views.ts'

export interface Place {
  readonly host: string
  readonly pool: string
}

export interface Room extends Place {
  readonly freeBytes: number
}

/** `from`: the replica that leaves; undefined: none does. */
export function roomsFor(
  { replicas }: Pick<VolumeView, 'replicas'>,
  hosts: readonly Pick<HostView, 'name' | 'pools'>[],
  from: Place | undefined,
): readonly Room[] {
  return hosts.flatMap(({ name: host, pools }) => {
    const own = replicas.find((replica) => replica.host === host)
    if (own && from?.host !== host) return []
    return pools
      .filter(({ name }) => name !== own?.pool)
      .map(({ name: pool, capacityBytes, allocatedBytes }) => ({
        host,
        pool,
        freeBytes: capacityBytes - allocatedBytes,
      }))
  })
}

export const placeText = ({ host, pool }: Place) => `${host}/${pool}`

export function placeOf(text: string): Place {
  const [host = '', pool = ''] = text.split('/')
  return { host, pool }
}
