/** The ends of a dump that a host makes, each in one transaction: the backup has its file, or it goes. */
import type { Failure } from '../errors.ts'
import { backupSubject, type Backup, type BackupFile } from '../model/backup.ts'
import type { Versioned } from '../model/cluster.ts'
import { KEYS } from '../model/keys.ts'
import { projectOf } from '../model/project.ts'
import type { Compare, Transaction } from '../ports/store.ts'
import { failedOperationWrites, succeededOperationWrites } from './ended-operations.ts'
import type { HostContext } from './host-context.ts'

type RecordContext = Pick<HostContext, 'mirror' | 'clock' | 'events'>

/** `compares`: what must still be as it was when it was read. */
export function finishedBackup(
  context: RecordContext,
  seen: Versioned<Backup>,
  file: BackupFile,
  expiresAt: number,
  compares: readonly Compare[],
): Transaction {
  const { id, guestName, mode } = seen.value
  const { sizeBytes, tookMs, pausedMs } = file
  const message = `${guestName} was dumped (${mode}): ${sizeBytes} bytes in ${tookMs} ms`
  const key = KEYS.backup(id)
  return {
    compares: [{ key, modRevision: seen.revision }, ...compares],
    writes: [
      { kind: 'put', key, value: JSON.stringify({ ...seen.value, file, expiresAt } satisfies Backup) },
      ...succeededOperationWrites(context, backupSubject(seen.value), 'dumped'),
      ...context.events.writesFor([
        {
          kind: 'guest.dumped',
          subject: `guest/${guestName}`,
          project: projectOf(seen.value),
          message,
          details: { backup: id, mode, sizeBytes, tookMs, pausedMs },
        },
      ]),
    ],
  }
}

export function failedBackup(context: RecordContext, seen: Versioned<Backup>, error: Failure): Transaction {
  const key = KEYS.backup(seen.value.id)
  return {
    compares: [{ key, modRevision: seen.revision }],
    writes: [{ kind: 'delete', key }, ...failedOperationWrites(context, backupSubject(seen.value), error, 'ct.dump')],
  }
}
