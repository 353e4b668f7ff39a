import { useQueries } from '@tanstack/react-query'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { Privilege } from '@stead/core/access/privilege.ts'
import { useText } from '../i18n/texts.ts'
import { useSession } from './session-context.ts'

/**
 * Why who uses the interface may not do something, undefined when he may. It is only asked so that nobody tries in vain:
 * the agents decide. As long as it is not known everything looks permitted; without a path nobody is asked.
 */
export function useRefusal(path: string | undefined): (privilege: Privilege) => string | undefined {
  const refusal = useRefusals(path === undefined ? [] : [path])
  return (privilege) => (path === undefined ? undefined : refusal(path, privilege))
}

/** The same of several paths, each asked about once. */
export function useRefusals(paths: readonly string[]): (path: string, privilege: Privilege) => string | undefined {
  const t = useText()
  const { client, who } = useSession()
  const answers = useQueries({
    queries: paths.map((path) => ({
      queryKey: ['privileges', who.name, path],
      queryFn: () => client.call(ENDPOINTS['auth.privileges'], { query: { path } }),
      staleTime: 60_000,
    })),
  })
  return (path, privilege) => {
    const data = answers[paths.indexOf(path)]?.data
    return !data?.ok || data.value.privileges.includes(privilege)
      ? undefined
      : t('refusal.privilege', { privilege, path })
  }
}
