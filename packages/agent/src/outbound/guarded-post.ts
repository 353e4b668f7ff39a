/** Sends something to an address that a user has named, and reads of the answer its status alone. */
import { ok, type Result } from '@stead/core/result.ts'
import { guardedRequest, type OutboundGuard } from './guarded-request.ts'

export interface Posting {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** The answer's status. What else it says is not read. */
export async function guardedPost(posting: Posting, guard: OutboundGuard): Promise<Result<number>> {
  const answer = await guardedRequest({ ...posting, method: 'POST', answerBytesMax: 0 }, guard)
  return answer.ok ? ok(answer.value.status) : answer
}
