/**
 * The layout of the store: which record lives under which key. One prefix, so that one watch sees all.
 * Records are JSON; `packages/api/src/records.ts` holds the schemas that check them on reading.
 */
import type { BackupId } from './backup.ts'
import type { GuestId, HostId, OperationId, VolumeId } from './ids.ts'
import type { RuleId } from './rule.ts'

export const PREFIX = '/stead/'

/**
 * What proves who somebody is. Not below `PREFIX`: no copy of the records holds it, no endpoint shows it, and it is
 * read from the store when it is needed.
 */
const SECRETS = '/stead-secrets/'

export const SECRET_KEYS = {
  /** Holds the token's key: `alice!ci`. Known by the SHA-256 of what the client shows, hexadecimal. */
  token: (digest: string) => `${SECRETS}tokens/${digest}`,
  /** Holds that digest, so that what is revoked is found. */
  tokenDigest: (token: string) => `${SECRETS}token-digests/${token}`,
  password: (user: string) => `${SECRETS}passwords/${user}`,
  secondFactors: (user: string) => `${SECRETS}second-factors/${user}`,
  /** A sign-in whose second factor is still to come. */
  pendingSignIn: (digest: string) => `${SECRETS}pending-sign-ins/${digest}`,
  /** An answer of a security key that signed somebody in by itself. */
  usedChallenge: (digest: string) => `${SECRETS}used-challenges/${digest}`,
  /** The key of the authority that is to come, readable by the hosts that may sign. */
  nextAuthority: `${SECRETS}next-authority`,
  /** The certificate of the web with its key, the key of the next one, the account's: see `certificate/held-keys.ts`. */
  certificate: (part: 'current' | 'next' | 'account' | '') => `${SECRETS}certificate/${part}`,
  /** With what devices prove that their user has signed in on them before. */
  deviceKey: `${SECRETS}device-key`,
} as const

export const KEYS = {
  settings: `${PREFIX}settings`,
  coordinator: `${PREFIX}coordinator`,
  clusterPolicy: `${PREFIX}cluster-policy`,
  addressHolder: `${PREFIX}address-holder`,
  heartbeatKey: `${PREFIX}heartbeat-key`,
  authorityChange: `${PREFIX}authority-change`,
  vault: `${PREFIX}vault`,
  wantedCertificate: `${PREFIX}wanted-certificate`,
  certificateProgress: `${PREFIX}certificate-progress`,
  host: (id: HostId) => `${PREFIX}hosts/${id}`,
  status: (id: HostId) => `${PREFIX}statuses/${id}`,
  policy: (id: HostId) => `${PREFIX}policies/${id}`,
  liveness: (id: HostId) => `${PREFIX}liveness/${id}`,
  guest: (id: GuestId) => `${PREFIX}guests/${id}`,
  /** Holds the guest's id; its creation in the same transaction makes names unique. */
  guestName: (name: string) => `${PREFIX}guest-names/${name}`,
  /** Holds the guest's id: no two containers have the same user ids of the hosts. */
  containerIds: (idBase: number) => `${PREFIX}container-ids/${idBase}`,
  grant: (guest: GuestId) => `${PREFIX}grants/${guest}`,
  volume: (id: VolumeId) => `${PREFIX}volumes/${id}`,
  observation: (guest: GuestId) => `${PREFIX}observations/${guest}`,
  decision: (guest: GuestId) => `${PREFIX}decisions/${guest}`,
  operation: (id: OperationId) => `${PREFIX}operations/${id}`,
  /** Holds the operation's id: a repeated request with the same key gets the same operation. */
  idempotency: (key: string) => `${PREFIX}idempotency/${key}`,
  /** Outbox: agents copy events to their own history; the coordinator prunes the oldest. */
  event: (id: string) => `${PREFIX}events/${id}`,
  /** Outbox of the audit: every host takes them into its own chain. */
  audit: (id: string) => `${PREFIX}audit/${id}`,
  /** Up to where that outbox has been emptied. */
  auditBase: `${PREFIX}audit-base`,
  /** A replica's file that its host must still remove, however long it was away. */
  removal: (host: HostId, volume: VolumeId, pool: string) => `${PREFIX}removals/${host}/${volume}/${pool}`,
  rule: (id: RuleId) => `${PREFIX}rules/${id}`,
  /** Written, and compared, by every change that could bring rules into contradiction: two such changes take turns. */
  rulesTurn: `${PREFIX}rules-turn`,
  /** The same for changes that admission judges: of two that could break it together the second is judged after the first. */
  admissionTurn: `${PREFIX}admission-turn`,
  /** The same for changes that give guests addresses. */
  addressTurn: `${PREFIX}address-turn`,
  /** Unique names by the key itself. */
  snapshot: (guest: GuestId, name: string) => `${PREFIX}snapshots/${guest}/${name}`,
  image: (name: string) => `${PREFIX}images/${name}`,
  imageImport: (name: string) => `${PREFIX}imports/${name}`,
  /** The name is an id: see `DiskCopy`. */
  diskCopy: (name: string) => `${PREFIX}copies/${name}`,
  backup: (id: BackupId) => `${PREFIX}backups/${id}`,
  user: (name: string) => `${PREFIX}users/${name}`,
  group: (name: string) => `${PREFIX}groups/${name}`,
  role: (name: string) => `${PREFIX}roles/${name}`,
  /** `user!name`. */
  token: (key: string) => `${PREFIX}tokens/${key}`,
  project: (name: string) => `${PREFIX}projects/${name}`,
  /** Written, and compared, by every change that adds to what a project has. */
  projectTurn: (name: string) => `${PREFIX}projectTurns/${name}`,
  /** The hour that is being counted. */
  metering: `${PREFIX}metering`,
  /** What projects used in an hour that is over. */
  usageHour: (hour: string) => `${PREFIX}usage-hours/${hour}`,
  /** What the guests of a host sent and received in an hour. */
  networkHour: (hour: string, host: HostId) => `${PREFIX}network-hours/${hour}/${host}`,
  realm: (name: string) => `${PREFIX}realms/${name}`,
  webhook: (name: string) => `${PREFIX}webhooks/${name}`,
  webhookDelivery: (name: string) => `${PREFIX}webhookDeliveries/${name}`,
  permission: (id: string) => `${PREFIX}permissions/${id}`,
  session: (digest: string) => `${PREFIX}sessions/${digest}`,
  /** Written, and compared, by every change of users, groups, roles and permissions: they take turns. */
  accessTurn: `${PREFIX}access-turn`,
} as const
