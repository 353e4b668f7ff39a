/** The agent's answer to each endpoint of the API; the work is in the files beside this one, by noun. */
import type { ApiBackend } from '../http/backend.ts'
import { conditionalBackend } from './conditional-requests.ts'
import { Desk, type BackendContext } from './desk.ts'
import { accessEndpoints } from './access-endpoints.ts'
import { auditEndpoints } from './audit-endpoints.ts'
import { certificateEndpoints } from './certificate-endpoints.ts'
import { consoleEndpoints } from './console-endpoints.ts'
import { backupEndpoints } from './backup-endpoints.ts'
import { containerDumpEndpoints } from './container-dump-endpoints.ts'
import { containerTemplateEndpoints } from './container-template-endpoints.ts'
import { counterEndpoints } from './counter-endpoints.ts'
import { decisionEndpoints } from './decision-endpoints.ts'
import { delegationEndpoints } from './delegation-endpoints.ts'
import { explainEndpoints } from './explain-endpoints.ts'
import { guestAgentEndpoints } from './guest-agent-endpoints.ts'
import { guestEndpoints } from './guest-endpoints.ts'
import { liveViewEndpoints } from './live-view-endpoints.ts'
import { mediaEndpoints } from './guest-media.ts'
import { hardwareEndpoints } from './hardware-endpoints.ts'
import { historyEndpoints } from './history-endpoints.ts'
import { hostEndpoints } from './host-endpoints.ts'
import { lifecycleEndpoints } from './lifecycle-endpoints.ts'
import { metricsEndpoints } from './metrics-endpoints.ts'
import { networkEndpoints } from './network-endpoints.ts'
import { permissionEndpoints } from './permission-endpoints.ts'
import { policyEndpoints } from './policy-endpoints.ts'
import { projectEndpoints } from './project-endpoints.ts'
import { replicaMoveEndpoints } from './replica-move-endpoints.ts'
import { ruleEndpoints } from './rule-endpoints.ts'
import { scrapeEndpoint } from './scrape-endpoint.ts'
import { signInEndpoints } from './sign-in-endpoints.ts'
import { snapshotEndpoints } from './snapshot-endpoints.ts'
import { imageEndpoints } from './image-endpoints.ts'
import { storageEndpoints } from './storage-endpoints.ts'
import { templateEndpoints } from './template-endpoints.ts'
import { tokenEndpoints } from './token-endpoints.ts'
import { usageEndpoints } from './usage-endpoints.ts'
import { webhookEndpoints } from './webhook-endpoints.ts'
import { whatIfEndpoints } from './what-if.ts'

export function createApiBackend(context: BackendContext): ApiBackend {
  const desk = new Desk(context)
  return conditionalBackend(desk, {
    ...hostEndpoints(desk),
    ...guestEndpoints(desk),
    ...guestAgentEndpoints(desk),
    ...lifecycleEndpoints(desk),
    ...certificateEndpoints(desk),
    ...consoleEndpoints(desk),
    ...counterEndpoints(desk),
    ...mediaEndpoints(desk),
    ...metricsEndpoints(desk),
    ...networkEndpoints(desk),
    ...scrapeEndpoint(desk),
    ...snapshotEndpoints(desk),
    ...hardwareEndpoints(desk),
    ...storageEndpoints(desk),
    ...imageEndpoints(desk),
    ...replicaMoveEndpoints(desk),
    ...templateEndpoints(desk),
    ...containerTemplateEndpoints(desk),
    ...backupEndpoints(desk),
    ...containerDumpEndpoints(desk),
    ...historyEndpoints(desk),
    ...ruleEndpoints(desk),
    ...policyEndpoints(desk),
    ...explainEndpoints(desk),
    ...decisionEndpoints(desk),
    ...whatIfEndpoints(desk),
    ...accessEndpoints(desk),
    ...permissionEndpoints(desk),
    ...tokenEndpoints(desk),
    ...projectEndpoints(desk),
    ...delegationEndpoints(desk),
    ...usageEndpoints(desk),
    ...auditEndpoints(desk),
    ...liveViewEndpoints(desk),
    ...signInEndpoints(desk),
    ...webhookEndpoints(desk),
  })
}
