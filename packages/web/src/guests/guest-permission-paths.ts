import type { PermissionView } from '@stead/api/endpoints/access.ts'
import { CLUSTER_PATH, projectPath } from '@stead/core/access/object-path.ts'
import type { GuestView } from '@stead/api/views.ts'

/** Those that count for a guest: its own, and what its project and the cluster hand down. Its own come first. */
export function permissionsOn(
  { name, project }: Pick<GuestView, 'name' | 'project'>,
  all: readonly PermissionView[],
): readonly PermissionView[] {
  const levels = [`/guests/${name}`, projectPath(project), CLUSTER_PATH]
  return levels.flatMap((level, above) =>
    all.filter(({ path, propagate }) => path === level && (above === 0 || propagate)),
  )
}
