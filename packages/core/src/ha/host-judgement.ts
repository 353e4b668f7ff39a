/** What the heartbeats say of the hosts, as actions that bring the records up to date. */
import type { ClusterState } from '../model/cluster.ts'
import type { HostPolicy } from '../model/host.ts'
import type { HostId } from '../model/ids.ts'
import type { Verdict } from './coordinator.ts'
import type { PlannedAction } from './plan.ts'

export interface HostJudgementInput {
  readonly state: ClusterState
  readonly self: HostId
  readonly verdicts: ReadonlyMap<HostId, Verdict>
  /** The boot id that each heard host reports in its heartbeats. */
  readonly bootIds: ReadonlyMap<HostId, string>
  readonly wallMs: number
}

export function* judgeHosts(input: HostJudgementInput): Generator<PlannedAction> {
  const { state, self, verdicts, bootIds, wallMs } = input
  for (const { value: host } of state.hosts.values()) {
    const status = state.statuses.get(host.id)?.value
    const verdict = host.id === self ? 'heard' : verdicts.get(host.id)
    const subject = `host/${host.id}`
    if (verdict === 'suspected' && status?.state !== 'lost') {
      const reason = 'a majority of hosts hears nothing of it on any network'
      yield {
        action: {
          kind: 'host-status',
          host: host.id,
          status: { state: 'lost', bootId: status?.bootId ?? host.bootId, since: wallMs, reason },
        },
        events: [{ kind: 'host.lost', subject, message: `${host.id} is lost: ${reason}` }],
      }
    } else if (verdict === 'heard') {
      const bootId = bootIds.get(host.id)
      // Shortly after its own start an observer calls everybody heard; without a heartbeat that proves nothing.
      if (!bootId) continue
      if (status?.state === 'online' && status.bootId === bootId) continue
      // What the shutdown was for has happened, and what waited for the host may go on: in the same step in which the
      // host can be used again, or those guests would be given another one.
      const policy: HostPolicy = state.policies.get(host.id)?.value ?? { maintenance: false }
      const { shutdown, ...policyAfter } = policy
      const hasBooted = status !== undefined && status.bootId !== bootId
      yield {
        action: {
          kind: 'host-status',
          host: host.id,
          status: { state: 'online', bootId, since: wallMs, reason: 'its heartbeats arrive' },
          ...(shutdown !== undefined && hasBooted ? { policyAfter } : {}),
        },
        events: [{ kind: 'host.online', subject, message: `${host.id} is online` }],
      }
    }
  }
}
