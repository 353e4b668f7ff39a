/** Which hosts are to be rid of their guests. */
import { DEFAULT_POLICY } from '../model/cluster-policy.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { HostId } from '../model/ids.ts'

/** In maintenance, or shut down with its guests moved off first. */
export function isDrained(state: ClusterState, host: HostId | undefined): boolean {
  const wish = host === undefined ? undefined : state.policies.get(host)?.value
  if (wish?.maintenance) return true
  return wish?.shutdown !== undefined && (state.clusterPolicy?.value ?? DEFAULT_POLICY).shutdown === 'migrate'
}
