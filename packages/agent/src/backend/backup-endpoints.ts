/** Backups that the cluster holds: each is a file among one host's blobs, and the record that names it. */
import type { BackupView } from '@stead/api/endpoints/backups.ts'
import { failure } from '@stead/core/errors.ts'
import { failedBackup } from '@stead/core/host/backup-records.ts'
import { backupSubject, type Backup } from '@stead/core/model/backup.ts'
import type { Versioned } from '@stead/core/model/cluster.ts'
import { projectOf } from '@stead/core/model/project.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Desk } from './desk.ts'

type Answers = Pick<ApiBackend, `backup.${'list' | 'show' | 'fetch' | 'delete'}`>

export function backupEndpoints(desk: Desk): Answers {
  return {
    'backup.list': async ({ query: { guest } }) =>
      desk.loaded(({ backups }) => {
        const wanted = [...backups.values()].filter(
          ({ value }) => guest === undefined || value.guestName === guest || value.guest === guest,
        )
        return ok({ items: wanted.map((each) => viewOf(desk, each)) })
      }),
    'backup.show': async ({ params }) => {
      const known = find(desk, params.backup)
      return known.ok ? ok(viewOf(desk, known.value)) : known
    },
    'backup.fetch': async ({ params }) => {
      const known = find(desk, params.backup)
      if (!known.ok) return known
      const { id, host, file } = known.value.value
      if (!file) return fail(failure('conflict', `${id} is being made`, { hint: 'Wait until it is ready' }))
      const content = await desk.context.blobs.stream(file.blob)
      if (content) return ok(content as AsyncIterable<Uint8Array>)
      return fail(
        desk.isUp(host)
          ? failure('storage', `${host} has lost the file of ${id}`, { hint: 'Delete this backup, and make another' })
          : failure('waits_for_host', `${host} has the file of ${id}, and is not up`, { hint: `Bring ${host} back` }),
      )
    },
    'backup.delete': async ({ params }, request) => {
      const operation = await desk.change(request, () => {
        const known = find(desk, params.backup)
        if (!known.ok) return known
        const { value } = known.value
        const calledOff = failure('conflict', `The backup ${value.id} was deleted`)
        const subject = backupSubject(value)
        return ok({
          ...{ kind: 'backup.delete', subject, project: projectOf(value), events: [] },
          ...failedBackup(desk.context, known.value, calledOff),
        })
      })
      if (!operation.ok) return operation
      await desk.started(operation.value)
      return ok()
    },
  }
}

function find(desk: Desk, id: string): Result<Versioned<Backup>> {
  return desk.loaded(({ backups }) => {
    const known = backups.get(id)
    return known
      ? ok(known)
      : fail(failure('not_found', `There is no backup ${id}`, { hint: 'See `stead backup list`' }))
  })
}

function viewOf({ isUp }: Desk, { value, revision }: Versioned<Backup>): BackupView {
  const { id, guest, guestName, host, mode, compress, createdAt, expiresAt, file } = value
  const whole = isUp(host) ? 'ready' : 'out-of-reach'
  return {
    ...{ id, guest: guestName, guestId: guest, project: projectOf(value), host, mode, compress },
    state: file ? whole : 'being-made',
    createdAt: new Date(createdAt).toISOString(),
    keptUntil: new Date(expiresAt).toISOString(),
    blob: file?.blob ?? null,
    sizeBytes: file?.sizeBytes ?? null,
    revision: String(revision),
  }
}
