import { useQuery } from '@tanstack/react-query'
import type { Client } from '@stead/api/client.ts'
import type { ForeseenView } from '@stead/api/foresight-view.ts'
import type { Failure } from '@stead/core/errors.ts'
import type { Result } from '@stead/core/result.ts'
import { useSession } from '../session/session-context.ts'

/** The first part of the keys of such answers: what was done makes them no less true, so they are not asked for again. */
export const FORESIGHT = 'foresight'

/** What one sees of it: one view a call, up to the first that the cluster refuses. */
export interface Foresight {
  readonly views: readonly ForeseenView[] | undefined
  readonly failure: Failure | undefined
  readonly isPending: boolean
}

/**
 * What the calls would do, as the cluster works it out; nothing is asked while `about` is undefined.
 * `about`: what tells these calls from others.
 */
export function useForesight(
  about: readonly unknown[] | undefined,
  calls: readonly ((client: Client) => Promise<Result<unknown>>)[],
): Foresight {
  const { foreseeing } = useSession()
  const query = useQuery({
    queryKey: [FORESIGHT, ...(about ?? [])],
    enabled: about !== undefined,
    staleTime: 0,
    gcTime: 0,
    queryFn: async () => {
      const views: ForeseenView[] = []
      for (const call of calls) {
        const answer = await call(foreseeing)
        if (answer.ok) return { views, failure: undefined }
        if (answer.error.code !== 'foreseen') return { views, failure: answer.error }
        views.push(answer.error.cause as ForeseenView)
      }
      return { views, failure: undefined }
    },
  })
  if (about === undefined) return { views: undefined, failure: undefined, isPending: false }
  return { views: query.data?.views, failure: query.data?.failure, isPending: query.isPending }
}
