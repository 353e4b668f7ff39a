/** What was measured of one subject or of several, asked for again as long as its end is the present. */
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { MetricsView } from '@stead/api/endpoints/metrics.ts'
import type { Failure } from '@stead/core/errors.ts'
import { useSession } from '../session/session-context.ts'
import { RANGES, spanOf, type ShownTime } from './chart-model.ts'

export type MetricsSubject =
  | { readonly kind: 'guest'; readonly name: string }
  | { readonly kind: 'host'; readonly name: string }
  | { readonly kind: 'pool'; readonly host: string; readonly name: string }

export interface Measured {
  /** All of one time. */
  readonly views: readonly MetricsView[]
  readonly failure?: Failure
  readonly isLoading: boolean
}

const SAMPLE_MS = 10_000
/** About as many as a chart shows. */
const POINTS = 720

export function useMetrics(subjects: readonly MetricsSubject[], shown: ShownTime): Measured {
  const { client } = useSession()
  const { data } = useQuery({
    queryKey: ['metrics', subjects, shown],
    // No oftener than there is something new to see.
    refetchInterval: shown.is === 'live' ? Math.max(SAMPLE_MS, RANGES[shown.range] / POINTS) : false,
    placeholderData: keepPreviousData,
    queryFn: () => {
      const { fromMs, toMs } = spanOf(shown, Date.now())
      const query = { from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString() }
      return Promise.all(subjects.map((subject) => ask(client, subject, query)))
    },
  })
  const failed = data?.find((answer) => !answer.ok)
  return {
    views: data?.flatMap((answer) => (answer.ok ? [answer.value] : [])) ?? [],
    isLoading: data === undefined,
    ...(failed && !failed.ok ? { failure: failed.error } : {}),
  }
}

function ask(client: Client, subject: MetricsSubject, query: { readonly from: string; readonly to: string }) {
  const { name } = subject
  if (subject.kind === 'guest') return client.call(ENDPOINTS['guest.metrics'], { params: { guest: name }, query })
  if (subject.kind === 'host') return client.call(ENDPOINTS['host.metrics'], { params: { host: name }, query })
  return client.call(ENDPOINTS['pool.metrics'], { params: { host: subject.host, pool: name }, query })
}
