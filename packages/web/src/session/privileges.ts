import { useQuery } from '@tanstack/react-query'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { Privilege } from '@stead/core/access/privilege.ts'
import { useText } from '../i18n/texts.ts'
import { useSession } from './session-context.ts'

/**
 * Why who uses the interface may not do something, undefined when he may. It is only asked so that nobody tries in vain:
 * the agents decide. As long as it is not known everything looks permitted; without a path nobody is asked.
 */
export function useRefusal(path: string | undefined): (privilege: Privilege) => string | undefined {
  const t = useText()
  const { client, who } = useSession()
  const { data } = useQuery({
    queryKey: ['privileges', who.name, path],
    enabled: path !== undefined,
    queryFn: () => client.call(ENDPOINTS['auth.privileges'], { query: { path: path ?? '' } }),
    staleTime: 60_000,
  })
  return (privilege) =>
    path === undefined || !data?.ok || data.value.privileges.includes(privilege)
      ? undefined
      : t('refusal.privilege', { privilege, path })
}
