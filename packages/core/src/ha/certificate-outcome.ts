/** How far a request for a certificate of the web has come; see `operations.ts`. */
import type { ClusterState } from '../model/cluster.ts'
import type { Operation } from '../model/operation.ts'
import { NO_PROGRESS } from '../model/web-certificate.ts'

/** Ends with the first attempt: what follows by itself hours later nobody waits for. */
export function certificateOutcome(
  operation: Operation,
  { wantedCertificate, certificateProgress }: Pick<ClusterState, 'wantedCertificate' | 'certificateProgress'>,
): Operation {
  const failed = (code: string, message: string, hint?: string): Operation => ({
    ...{ ...operation, state: 'failed', message },
    failure: { code, message, ...(hint === undefined ? {} : { hint }) },
  })
  if (!wantedCertificate) return failed('conflict', 'the certificate was given up meanwhile')
  const { given, order, failing, renewAt } = certificateProgress?.value ?? NO_PROGRESS
  if (failing) return failed('conflict', failing.message, failing.hint)
  const running = (progress: number, message: string): Operation => ({ ...operation, progress, message })
  if (order?.told) return running(0.6, 'the authority looks whether the names are ours')
  if (order) return running(0.3, 'the proof for the authority is made ready')
  if (!given || renewAt === 0) return running(0.1, 'the authority is asked')
  const message = `valid until ${new Date(given.notAfter).toISOString()}`
  return { ...operation, state: 'succeeded', progress: 1, message }
}
