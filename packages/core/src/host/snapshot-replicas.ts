/** The steps of a snapshot on all replicas that take part in it, at once. */
import { failure, type Failure } from '../errors.ts'
import type { HostId } from '../model/ids.ts'
import { inSync } from '../model/records.ts'
import type { SnapshotId, SnapshotVolume } from '../model/snapshot.ts'
import type { Volume } from '../model/volume.ts'
import { fail, ok, type Result } from '../result.ts'
import type { HostContext } from './host-context.ts'

export interface Participant {
  readonly volume: Volume
  readonly host: HostId
  readonly pool: string
}

type Step = 'prepareSnapshot' | 'cutSnapshot' | 'sealSnapshot'

/** Every replica that is in sync by the record. */
export function participantsOf(volumes: readonly Volume[]): readonly Participant[] {
  return volumes.flatMap((volume) => inSync(volume).map(({ host, pool }) => ({ volume, host, pool })))
}

/** Fails, when all have answered, with the first that did not do it. */
export async function onAll(
  context: HostContext,
  step: Step,
  snapshot: SnapshotId,
  participants: readonly Participant[],
): Promise<Result<void>> {
  const failed = await failuresOf(context, step, snapshot, participants)
  const [first] = failed
  if (!first) return ok()
  const { error, by } = first
  return fail(
    failure(error.code, `${by.host}: ${error.message}`, { cause: error, ...(error.hint ? { hint: error.hint } : {}) }),
  )
}

/**
 * Makes the cut last, and says which replicas hold it. One that was lost since the cut does not; what the others hold is
 * of the same moment all the same, so that one a volume is enough.
 */
export async function sealAll(
  context: HostContext,
  snapshot: SnapshotId,
  participants: readonly Participant[],
): Promise<Result<SnapshotVolume[]>> {
  const failed = await failuresOf(context, 'sealSnapshot', snapshot, participants)
  const volumes: SnapshotVolume[] = []
  for (const volume of new Set(participants.map((each) => each.volume))) {
    const hosts = participants
      .filter((each) => each.volume === volume && !failed.some(({ by }) => by === each))
      .map(({ host }) => host)
    const lost = failed.find(({ by }) => by.volume === volume)
    if (hosts.length === 0 && lost) return fail(lost.error)
    volumes.push({ volume: volume.id, sizeBytes: volume.sizeBytes, hosts })
  }
  return ok(volumes)
}

async function failuresOf(
  { volumesOn }: HostContext,
  step: Step,
  snapshot: SnapshotId,
  participants: readonly Participant[],
): Promise<readonly { readonly by: Participant; readonly error: Failure }[]> {
  const answers = await Promise.all(
    participants.map(async (by) => ({ by, answer: await volumesOn(by.host)[step](by.volume.id, by.pool, snapshot) })),
  )
  return answers.flatMap(({ by, answer }) => (answer.ok ? [] : [{ by, error: answer.error }]))
}
