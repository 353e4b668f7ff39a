import type { Role } from '../access/privilege.ts'
import type { AccessPermission, ApiToken, Group, SignInSession, User } from './access.ts'
import type { Backup } from './backup.ts'
import type { ClusterEvent } from './event.ts'
import type { ClusterPolicy } from './cluster-policy.ts'
import type { Decision } from './decision.ts'
import type { Grant } from './grant.ts'
import type { Guest, GuestObservation } from './guest.ts'
import type { AuthorityChange } from './authority-change.ts'
import type { HeartbeatKey } from './heartbeat-key.ts'
import type { Host, HostPolicy, HostStatus } from './host.ts'
import type { GuestId, HostId, OperationId, VolumeId } from './ids.ts'
import type { DiskCopy } from './disk-copy.ts'
import type { ImageImport } from './image-import.ts'
import type { Operation } from './operation.ts'
import type { Project } from './project.ts'
import type { Realm } from './realm.ts'
import type { Vault } from './vault.ts'
import type { CertificateProgress, WantedCertificate } from './web-certificate.ts'
import type { Webhook, WebhookDelivery } from './webhook.ts'
import type { Rule, RuleId } from './rule.ts'
import type { Snapshot } from './snapshot.ts'
import type { Image, Removal, Volume } from './volume.ts'

export interface ClusterSettings {
  readonly id: string
  readonly name: string
  /** A host is suspected when all its heartbeats stay away for this long. */
  readonly detectionMs: number
  readonly heartbeatIntervalMs: number
  readonly leaseTtlMs: number
  readonly createdAt: number
}

/** A record and the store revision that last changed it: what a transaction compares. */
export interface Versioned<T> {
  readonly value: T
  readonly revision: bigint
}

/** The key that makes one agent the coordinator. Every plan's transaction compares its revision. */
export interface CoordinatorClaim {
  readonly host: HostId
  readonly term: number
}

/** Which host answers at the cluster's address. It is of a lease: while it is there, no other host may take the address. */
export interface AddressHolder {
  readonly host: HostId
  readonly address: string
  /** The lease's id, decimal: an agent that was started again goes on with it. */
  readonly lease: string
}

/** All that the store holds, at one revision. */
export interface ClusterState {
  readonly settings?: Versioned<ClusterSettings>
  readonly coordinator?: Versioned<CoordinatorClaim>
  /** `DEFAULT_POLICY` while it was never set. */
  readonly clusterPolicy?: Versioned<ClusterPolicy>
  /** Absent while no host holds the address. */
  readonly addressHolder?: Versioned<AddressHolder>
  /** Absent while no host was ever removed. */
  readonly heartbeatKey?: Versioned<HeartbeatKey>
  /** Absent while the authority is not being replaced. */
  readonly authorityChange?: Versioned<AuthorityChange>
  /** Absent: the cluster's secrets lie in clear, until all members can have a share of a key. */
  readonly vault?: Versioned<Vault>
  /** Absent: no authority is asked for a certificate of the web. */
  readonly wantedCertificate?: Versioned<WantedCertificate>
  readonly certificateProgress?: Versioned<CertificateProgress>
  readonly hosts: ReadonlyMap<HostId, Versioned<Host>>
  readonly statuses: ReadonlyMap<HostId, Versioned<HostStatus>>
  readonly policies: ReadonlyMap<HostId, Versioned<HostPolicy>>
  /** Present while the host's lease lives. */
  readonly liveness: ReadonlyMap<HostId, Versioned<{ readonly bootId: string }>>
  readonly guests: ReadonlyMap<GuestId, Versioned<Guest>>
  readonly grants: ReadonlyMap<GuestId, Versioned<Grant>>
  readonly volumes: ReadonlyMap<VolumeId, Versioned<Volume>>
  readonly observations: ReadonlyMap<GuestId, Versioned<GuestObservation>>
  readonly decisions: ReadonlyMap<GuestId, Versioned<Decision>>
  /** Keyed `host/volume`. */
  readonly removals: ReadonlyMap<string, Versioned<Removal>>
  readonly rules: ReadonlyMap<RuleId, Versioned<Rule>>
  /** Keyed `guest/name`. */
  readonly snapshots: ReadonlyMap<string, Versioned<Snapshot>>
  readonly images: ReadonlyMap<string, Versioned<Image>>
  readonly imports: ReadonlyMap<string, Versioned<ImageImport>>
  readonly copies: ReadonlyMap<string, Versioned<DiskCopy>>
  readonly backups: ReadonlyMap<string, Versioned<Backup>>
  readonly operations: ReadonlyMap<OperationId, Versioned<Operation>>
  readonly users: ReadonlyMap<string, Versioned<User>>
  readonly groups: ReadonlyMap<string, Versioned<Group>>
  readonly roles: ReadonlyMap<string, Versioned<Role>>
  /** Keyed `user!name`. */
  readonly tokens: ReadonlyMap<string, Versioned<ApiToken>>
  /** Without the default one, as long as nothing was set of it. */
  readonly projects: ReadonlyMap<string, Versioned<Project>>
  /** By project: what was added to it last. The revision is what counts. */
  readonly projectTurns: ReadonlyMap<string, Versioned<string>>
  readonly realms: ReadonlyMap<string, Versioned<Realm>>
  readonly webhooks: ReadonlyMap<string, Versioned<Webhook>>
  readonly webhookDeliveries: ReadonlyMap<string, Versioned<WebhookDelivery>>
  readonly permissions: ReadonlyMap<string, Versioned<AccessPermission>>
  /** Keyed by the SHA-256 of what the client holds. */
  readonly sessions: ReadonlyMap<string, Versioned<SignInSession>>
}

export type { ClusterEvent }
