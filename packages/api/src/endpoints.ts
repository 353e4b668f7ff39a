/** The API: every endpoint, by id. Routes, OpenAPI, the typed client and the command line's help follow from it. */
import { ACCESS_ENDPOINTS } from './endpoints/access.ts'
import { AUDIT_ENDPOINTS } from './endpoints/audit.ts'
import { AUTHORITY_ENDPOINTS } from './endpoints/authority.ts'
import { BACKUP_ENDPOINTS } from './endpoints/backups.ts'
import { CLUSTER_ENDPOINTS } from './endpoints/cluster.ts'
import { CERTIFICATE_ENDPOINTS } from './endpoints/certificate.ts'
import { CONSOLE_ENDPOINTS } from './endpoints/consoles.ts'
import { CONTAINER_TEMPLATE_ENDPOINTS } from './endpoints/container-templates.ts'
import { COUNTER_ENDPOINTS } from './endpoints/counters.ts'
import { DECISION_ENDPOINTS } from './endpoints/decisions.ts'
import { DELEGATION_ENDPOINTS } from './endpoints/delegation.ts'
import { FORESIGHT_ENDPOINTS } from './endpoints/foresight.ts'
import { GUEST_AGENT_ENDPOINTS } from './endpoints/guest-agent.ts'
import { GUEST_ENDPOINTS } from './endpoints/guests.ts'
import { LIFECYCLE_ENDPOINTS } from './endpoints/lifecycle.ts'
import { LIVE_VIEW_ENDPOINTS } from './endpoints/live-views.ts'
import { MEDIA_ENDPOINTS } from './endpoints/media.ts'
import { HARDWARE_ENDPOINTS } from './endpoints/hardware.ts'
import { METRIC_ENDPOINTS } from './endpoints/metrics.ts'
import { NETWORK_ENDPOINTS } from './endpoints/networks.ts'
import { POLICY_ENDPOINTS } from './endpoints/policy.ts'
import { PROJECT_ENDPOINTS } from './endpoints/projects.ts'
import { REALM_ENDPOINTS } from './endpoints/realms.ts'
import { REPLICA_MOVE_ENDPOINTS } from './endpoints/replica-moves.ts'
import { RULE_ENDPOINTS } from './endpoints/rules.ts'
import { SECURITY_KEY_ENDPOINTS } from './endpoints/security-keys.ts'
import { SIGN_IN_ENDPOINTS } from './endpoints/sign-in.ts'
import { SNAPSHOT_ENDPOINTS } from './endpoints/snapshots.ts'
import { STORAGE_ENDPOINTS } from './endpoints/storage.ts'
import { TEMPLATE_ENDPOINTS } from './endpoints/templates.ts'
import { WEBHOOK_ENDPOINTS } from './endpoints/webhooks.ts'
import type { Endpoint } from './endpoint.ts'

export const ENDPOINTS = {
  ...CLUSTER_ENDPOINTS,
  ...AUTHORITY_ENDPOINTS,
  ...CERTIFICATE_ENDPOINTS,
  ...CONSOLE_ENDPOINTS,
  ...COUNTER_ENDPOINTS,
  ...DECISION_ENDPOINTS,
  ...FORESIGHT_ENDPOINTS,
  ...GUEST_ENDPOINTS,
  ...GUEST_AGENT_ENDPOINTS,
  ...LIFECYCLE_ENDPOINTS,
  ...MEDIA_ENDPOINTS,
  ...METRIC_ENDPOINTS,
  ...NETWORK_ENDPOINTS,
  ...SNAPSHOT_ENDPOINTS,
  ...HARDWARE_ENDPOINTS,
  ...STORAGE_ENDPOINTS,
  ...REPLICA_MOVE_ENDPOINTS,
  ...TEMPLATE_ENDPOINTS,
  ...CONTAINER_TEMPLATE_ENDPOINTS,
  ...BACKUP_ENDPOINTS,
  ...RULE_ENDPOINTS,
  ...POLICY_ENDPOINTS,
  ...ACCESS_ENDPOINTS,
  ...PROJECT_ENDPOINTS,
  ...DELEGATION_ENDPOINTS,
  ...AUDIT_ENDPOINTS,
  ...LIVE_VIEW_ENDPOINTS,
  ...SIGN_IN_ENDPOINTS,
  ...WEBHOOK_ENDPOINTS,
  ...REALM_ENDPOINTS,
  ...SECURITY_KEY_ENDPOINTS,
} as const

export type EndpointId = keyof typeof ENDPOINTS
export type EndpointOf<Id extends EndpointId> = (typeof ENDPOINTS)[Id]

export const ALL_ENDPOINTS: readonly Endpoint[] = Object.values(ENDPOINTS)
