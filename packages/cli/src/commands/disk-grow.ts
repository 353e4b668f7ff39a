/** `disk grow` and `ct set --disk`: a larger disk, and what of it the guest does not use yet. */
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView } from '@stead/api/views.ts'
import { failure, FailureError } from '@stead/core/errors.ts'
import { formatSize } from '../quantities.ts'
import { valueOf, type Session } from '../session.ts'
import { settle } from '../waiting.ts'

type Disk = GuestView['volumes'][number]

/** `name`: of the disk or its volume's id; absent: the first, a container's root. Returns what to print. */
export async function growDisk(
  session: Session,
  { guest, name, sizeBytes }: { readonly guest: string; readonly name?: string; readonly sizeBytes: number },
): Promise<{ readonly text: string; readonly result: unknown }> {
  const client = await session.client()
  const disk = await diskOf(client, guest, name)
  const request = { params: { volume: disk.id }, body: { sizeBytes } }
  const { operation: begun } = valueOf(await client.call(ENDPOINTS['volume.resize'], request))
  const operation = await settle(session, client, begun)
  if (operation.state !== 'succeeded')
    return { text: `${disk.name}: begun, see \`stead operation show ${operation.id}\`\n`, result: operation }
  const { pending } = valueOf(await client.call(ENDPOINTS['guest.show'], { params: { guest } }))
  session.warn(
    pending.filter(({ what }) => what === `file system of ${disk.name}`).map(({ what, why }) => `${what}: ${why}`),
  )
  return { text: `${disk.name} of ${guest} has ${formatSize(sizeBytes)}\n`, result: operation }
}

async function diskOf(client: Client, guest: string, name: string | undefined): Promise<Disk> {
  const { volumes } = valueOf(await client.call(ENDPOINTS['guest.show'], { params: { guest } }))
  const found = name === undefined ? volumes[0] : volumes.find((disk) => disk.id === name || disk.name === name)
  if (found) return found
  const hint = `It has ${volumes.map((disk) => disk.name).join(', ') || 'none'}`
  throw new FailureError(failure('not_found', `${guest} has no disk ${name ?? ''}`.trim(), { hint }))
}
