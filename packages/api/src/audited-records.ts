/** Records of which the audit shows what was changed, by the folder of the store that they lie in. */
import { clusterPolicySchema, guestSchema, hostSchema, policySchema } from './records.ts'
import { wantedCertificateSchema } from './certificate-records.ts'
import { backupSchema } from './backup-records.ts'
import { imageSchema } from './image-records.ts'
import { groupSchema, permissionSchema, roleSchema, tokenSchema, userSchema } from './access-records.ts'
import { projectSchema } from './project-records.ts'
import { realmSchema } from './realm-records.ts'
import { ruleSchema } from './rule-records.ts'
import { snapshotSchema } from './snapshot-records.ts'
import { webhookSchema } from './webhook-records.ts'
import { volumeSchema } from './volume-records.ts'

export const AUDITED_SCHEMAS = {
  clusterPolicy: clusterPolicySchema,
  guests: guestSchema,
  hosts: hostSchema,
  wantedCertificate: wantedCertificateSchema,
  images: imageSchema,
  backups: backupSchema,
  policies: policySchema,
  groups: groupSchema,
  permissions: permissionSchema,
  roles: roleSchema,
  tokens: tokenSchema,
  users: userSchema,
  projects: projectSchema,
  realms: realmSchema,
  rules: ruleSchema,
  snapshots: snapshotSchema,
  volumes: volumeSchema,
  webhooks: webhookSchema,
} as const
