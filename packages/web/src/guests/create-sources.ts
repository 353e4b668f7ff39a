import { useQuery } from '@tanstack/react-query'
import type { ResponseOf } from '@stead/api/endpoint.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useSession } from '../session/session-context.ts'

export type ImageView = ResponseOf<(typeof ENDPOINTS)['image.list']>['items'][number]

/** What guests can be made of. */
export interface CreateSources {
  readonly disks: readonly ImageView[]
  readonly isos: readonly string[]
  /** `NAME` means the newest version; every version has its own name besides. */
  readonly templates: readonly string[]
  readonly projects: readonly string[]
}

export function useCreateSources(): CreateSources {
  const { client } = useSession()
  const images = useQuery({ queryKey: ['images'], queryFn: () => client.call(ENDPOINTS['image.list']) })
  const templates = useQuery({ queryKey: ['templates'], queryFn: () => client.call(ENDPOINTS['template.list']) })
  const projects = useQuery({ queryKey: ['projects'], queryFn: () => client.call(ENDPOINTS['project.list']) })
  const all = images.data?.ok ? images.data.value.items : []
  const versions = templates.data?.ok ? templates.data.value.items : []
  return {
    disks: all.filter(({ kind }) => kind === undefined || kind === 'disk'),
    isos: all.filter(({ kind }) => kind === 'iso').map(({ name }) => name),
    templates: [
      ...new Set(versions.map(({ name }) => name)),
      ...versions.filter(({ newest }) => !newest).map(({ name, version }) => `${name}@${version}`),
    ],
    projects: projects.data?.ok ? projects.data.value.items.map(({ name }) => name) : [],
  }
}
