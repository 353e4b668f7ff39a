/**
 * The end of an import, in one transaction: the record goes, the image comes or the reason why not, and the operation
 * gets its last word. Whatever else ended it meanwhile (a user, the coordinator, another life of this agent) has taken
 * the record away, and then nothing is written.
 */
import type { Failure } from '../errors.ts'
import type { EventDraft } from '../ha/plan.ts'
import type { Versioned } from '../model/cluster.ts'
import { imageSubject, type ImageImport } from '../model/image-import.ts'
import { KEYS } from '../model/keys.ts'
import type { Image } from '../model/volume.ts'
import type { Compare, Transaction, Write } from '../ports/store.ts'
import { failedOperationWrites, succeededOperationWrites } from './ended-operations.ts'
import type { HostContext } from './host-context.ts'

type RecordContext = Pick<HostContext, 'mirror' | 'clock' | 'events'>

/** `seen`: the record as the caller's copy has it. */
export function finishedImport(
  context: RecordContext,
  seen: Versioned<ImageImport>,
  image: Image,
  message: string,
): Transaction {
  const { name, project } = seen.value
  const owned = project === undefined ? {} : { project }
  const subject = imageSubject(name)
  const finished = succeededOperationWrites(context, subject, message)
  const said: EventDraft = {
    ...{ kind: 'image.imported', subject, ...owned },
    message: `${name} is an image: ${message}`,
  }
  return {
    compares: [unchanged(seen), { key: KEYS.image(name), modRevision: 0n }],
    writes: [
      put(KEYS.image(name), { ...image, ...owned }),
      remove(seen),
      ...finished,
      ...context.events.writesFor([said]),
    ],
  }
}

export function failedImport(
  context: RecordContext,
  seen: Versioned<ImageImport>,
  error: Failure,
  compares: readonly Compare[] = [],
): Transaction {
  const { name, project } = seen.value
  const owned = project === undefined ? {} : { project }
  const subject = imageSubject(name)
  const message = `${name} was not imported: ${error.message}`
  return {
    compares: [unchanged(seen), ...compares],
    writes: [
      remove(seen),
      ...failedOperationWrites(context, subject, error),
      ...context.events.writesFor([
        { kind: 'image.import-failed', subject, ...owned, message, details: { code: error.code } },
      ]),
    ],
  }
}

export function putImport(record: ImageImport): Write {
  return put(KEYS.imageImport(record.name), record)
}

function unchanged({ value, revision }: Versioned<ImageImport>): Compare {
  return { key: KEYS.imageImport(value.name), modRevision: revision }
}

function remove({ value }: Versioned<ImageImport>): Write {
  return { kind: 'delete', key: KEYS.imageImport(value.name) }
}

function put(key: string, value: unknown): Write {
  return { kind: 'put', key, value: JSON.stringify(value) }
}
