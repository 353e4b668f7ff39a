/** A container of an archive: its root becomes a template for as long as that takes, and the container is made of it. */
import { randomBytes } from 'node:crypto'
import type { Client } from '@stead/api/client.ts'
import type { CallInput } from '@stead/api/endpoint.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { uploadBlob } from '../blob-upload.ts'
import { badArgument } from '../quantities.ts'
import { valueOf, type Session } from '../session.ts'
import { COPY_PATIENCE_MS, settle } from '../waiting.ts'
import type { ContainerRequest } from './container-request.ts'

export interface ArchiveRoot {
  readonly file: string
  /** How its system is begun and ended, where that is known. */
  readonly init?: readonly string[]
  readonly haltSignal?: string
  readonly project?: string | undefined
  /** Of the file. */
  readonly signature?: string
}

type CreateBody = CallInput<(typeof ENDPOINTS)['guest.create']>['body']

/** Nothing is left of a try that fails. */
export async function makeFromArchive(
  session: Session,
  client: Client,
  { file, init, haltSignal, signature, project }: ArchiveRoot,
  { body, settings }: Pick<ContainerRequest, 'body' | 'settings'>,
) {
  mustWait(session)
  const blob = await uploadBlob(session, client, file, project)
  const name = `restore-${randomBytes(6).toString('hex')}`
  const owned = project === undefined ? {} : { project }
  const words = {
    ...owned,
    ...(init ? { init: [...init] } : {}),
    ...(haltSignal === undefined ? {} : { haltSignal }),
    ...(signature === undefined ? {} : { signature }),
  }
  const begun = await client.call(ENDPOINTS['template.import'], { body: { name, version: '1', blob, ...words } })
  const { template, operation: importing } = valueOf(begun)
  try {
    await settle(session, client, importing, COPY_PATIENCE_MS)
    const params = { template }
    const { devicesLeftOut } = valueOf(await client.call(ENDPOINTS['template.show'], { params }))
    // Disks after the root that the archive holds too.
    const disks = (body.disks ?? []).map((disk) => (disk.imageDisk === undefined ? disk : { ...disk, image: template }))
    const create = { ...body, ...owned, disks, container: { ...body.container, template } } as CreateBody
    const answer = valueOf(await client.call(ENDPOINTS['guest.create'], { body: create }))
    session.warn(answer.warnings)
    const operation = await settle(session, client, answer.operation)
    if (Object.keys(settings).length > 0)
      valueOf(await client.call(ENDPOINTS['guest.set'], { params: { guest: body.name }, body: settings }))
    return { guest: answer.guest, operation, ...(devicesLeftOut ? { devicesLeftOut } : {}) }
  } finally {
    // The container has a copy of its own. What was given up in the middle is an import still.
    const called = await client.call(ENDPOINTS['image.cancel-import'], { params: { image: template } })
    const removed = called.ok ? called : await client.call(ENDPOINTS['template.delete'], { params: { template } })
    if (!removed.ok && removed.error.code !== 'not_found')
      session.warn([`the temporary template ${template} is still there: ${removed.error.message}`])
  }
}

export function mustWait(session: Session): void {
  if (!session.wait) throw badArgument('--no-wait: the command has something to do at the end', 'Leave it out.')
}
