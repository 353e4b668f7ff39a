/**
 * Data of a cluster of one member, made from this member's copy of the records: a store with a log, members and an id of its
 * own, which no former member can speak to.
 *
 * Not by etcd's `--force-new-cluster`, which goes on with the old log. A member that was killed has not written down how
 * much of its log was agreed on, so etcd drops the end of it, although the data holds what that said. Whoever joins later is
 * sent the log without it, refuses what compares with it, and has other records from then on (seen with etcd 3.4.23:
 * revision 62 instead of 101 at the same place of the log).
 */
import { existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { runProgram } from '../process/run-program.ts'

const RESTORE_MS = 60_000

export interface LoneDataOptions {
  /** etcd's data, which no etcd has open. */
  readonly data: string
  readonly name: string
  readonly peerUrls: readonly string[]
  /** Another one than before. */
  readonly token: string
  /** Where the data of before is put. */
  readonly aside: string
}

/** Interrupted anywhere, it can be done again. */
export async function makeDataAlone({ data, name, peerUrls, token, aside }: LoneDataOptions): Promise<Result<void>> {
  const made = `${data}.alone`
  // It was complete before the old one was put aside.
  if (existsSync(made) && !existsSync(data)) {
    renameSync(made, data)
    return ok()
  }
  const records = join(data, 'member', 'snap', 'db')
  if (!existsSync(records)) return fail(failure('storage', `There are no records in ${data}`))
  rmSync(made, { recursive: true, force: true })
  const restored = await runProgram(
    'env',
    [
      ...['ETCDCTL_API=3', 'etcdctl', 'snapshot', 'restore', records, '--skip-hash-check', '--data-dir', made],
      ...['--name', name, '--initial-cluster', peerUrls.map((url) => `${name}=${url}`).join(',')],
      ...['--initial-advertise-peer-urls', peerUrls.join(','), '--initial-cluster-token', token],
    ],
    RESTORE_MS,
  )
  if (!restored.ok) return restored
  renameSync(data, aside)
  renameSync(made, data)
  return ok()
}
