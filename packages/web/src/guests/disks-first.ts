/** Before a live move: disks that lie on one host alone move to the new host first, while the guest runs. */
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView, OperationView } from '@stead/api/views.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** The hosts hold a request open for so long, and are asked again. */
const WAIT_MS = 20_000

export type DiskOnItsWay = Pick<GuestView['volumes'][number], 'id' | 'name'> & { readonly from: string }

/** Disks that would stay behind if the guest went to this host. */
export function disksLeftBehind({ volumes }: Pick<GuestView, 'volumes'>, to: string): readonly DiskOnItsWay[] {
  return volumes.flatMap(({ id, name, replicas }) => {
    const [only] = replicas
    return only && replicas.length === 1 && only.host !== to ? [{ id, name, from: only.host }] : []
  })
}

/** Ends when the disk is there. */
export async function bringDisk(client: Client, { id, from }: DiskOnItsWay, to: string): Promise<Result<unknown>> {
  const body = { from: { host: from }, to: { host: to } }
  const begun = await client.call(ENDPOINTS['volume.move'], { params: { volume: id }, body })
  return begun.ok ? settled(client, begun.value.operation) : begun
}

async function settled(client: Client, operation: OperationView): Promise<Result<unknown>> {
  let now = operation
  while (now.state === 'running' || now.state === 'waiting') {
    const answer = await client.call(ENDPOINTS['operation.show'], {
      params: { operation: operation.id },
      query: { waitMs: WAIT_MS },
    })
    if (!answer.ok) return answer
    now = answer.value
  }
  return now.state === 'succeeded' ? ok() : fail(failure('conflict', now.failure?.message ?? now.message))
}
