/**
 * The quota of snapshots, for those that schedules ask for. They take the project's turn as a user's do: `turn` goes
 * into the transaction, so that nothing is added to the project in between.
 */
import type { ClusterState } from '../model/cluster.ts'
import type { Guest } from '../model/guest.ts'
import { KEYS } from '../model/keys.ts'
import { projectOf } from '../model/project.ts'
import { usageOf } from '../model/project-quota.ts'
import type { Compare, Write } from '../ports/store.ts'

/** Whether the guest's project has no room for one more, once so many are gone. */
export function isFull(state: ClusterState, guest: Guest, going: number): boolean {
  const limit = state.projects.get(projectOf(guest))?.value.quota?.snapshots
  return limit !== undefined && usageOf(state, projectOf(guest)).snapshots + 1 - going > limit
}

export function snapshotTurn(
  state: ClusterState,
  guest: Guest,
): { readonly compares: readonly Compare[]; readonly writes: readonly Write[] } {
  const project = projectOf(guest)
  const record = state.projects.get(project)
  const compares: Compare[] = [{ key: KEYS.project(project), modRevision: record?.revision ?? 0n }]
  if (!record) return { compares, writes: [] }
  const key = KEYS.projectTurn(project)
  compares.push({ key, modRevision: state.projectTurns.get(project)?.revision ?? 0n })
  return { compares, writes: [{ kind: 'put', key, value: JSON.stringify(`guest/${guest.id}`) }] }
}
