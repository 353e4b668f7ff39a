import { useQuery } from '@tanstack/react-query'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useHosts } from '../live/use-live.ts'
import { useSession } from '../session/session-context.ts'

/** What could fail and what runs where: foresight is asked for anew when this changes, not with each beat of the cluster. */
export function useStage(): string {
  return useHosts()
    .map(({ name, state, guests }) => `${name}:${state}:${guests.length}`)
    .join(' ')
}

/** What each single failure would do today, in numbers: who it is in each is another question. */
export function useSingleFailures() {
  const { client } = useSession()
  return useQuery({
    queryKey: ['single-failures', useStage()],
    queryFn: () => client.call(ENDPOINTS['foresight.single-failures'], { query: { brief: true } }),
    placeholderData: (before) => before,
    staleTime: 60_000,
  })
}
