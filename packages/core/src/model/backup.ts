/**
 * A dump of a container that the cluster holds until a moment. The record is there before the file is made, so that the
 * quota is judged before there is anything, and it outlives its guest: that is what it is for.
 */
import type { ClusterState } from './cluster.ts'
import type { BlobId, Branded, GuestId, HostId } from './ids.ts'

/** The guest's name and the time: `web1-20261123-164512`. */
export type BackupId = Branded<'BackupId'>

/** How it was read while it was to go on. */
export const DUMP_MODES = ['snapshot', 'suspend', 'stop'] as const
export type DumpMode = (typeof DUMP_MODES)[number]

/** How the tar is packed. */
export const DUMP_COMPRESSIONS = ['zstd', 'none'] as const
export type DumpCompression = (typeof DUMP_COMPRESSIONS)[number]

export interface Backup {
  readonly id: BackupId
  /** Of what it is; it may be gone. */
  readonly guest: GuestId
  /** As it was called then. */
  readonly guestName: string
  readonly project?: string
  /** The host that made the file, and has it. */
  readonly host: HostId
  readonly mode: DumpMode
  readonly compress: DumpCompression
  /** Wall clock, ms: of the request. */
  readonly createdAt: number
  /** Wall clock, ms: when it goes by itself; of one that is being made, when it is given up. */
  readonly expiresAt: number
  /** Absent: it is being made. */
  readonly file?: BackupFile
}

export interface BackupFile {
  readonly blob: BlobId
  readonly sizeBytes: number
  readonly tookMs: number
  /** How long the container was suspended; 0 where it was not. */
  readonly pausedMs: number
}

/** Subject of the operation and of the audit. */
export function backupSubject({ id }: Pick<Backup, 'id'>): string {
  return `backup/${id}`
}

/** No other has it; of two that are asked for at a time the transaction lets one through. */
export function newBackupId({ backups }: Pick<ClusterState, 'backups'>, guestName: string, wallMs: number): BackupId {
  const [day = '', time = ''] = new Date(wallMs).toISOString().replaceAll(/[-:]/g, '').split(/[T.]/)
  const plain = `${guestName}-${day}-${time}`
  let id = plain
  for (let number = 2; backups.has(id); number++) id = `${plain}-${number}`
  return id as BackupId
}
