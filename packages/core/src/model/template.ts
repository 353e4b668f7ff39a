import type { ImageDisk } from './volume.ts'

/** A guest that is never started: others are cloned from it. */
export interface GuestTemplate {
  /** Its disks as they were when it became one, in order, as files that never change. */
  readonly disks: readonly ImageDisk[]
  /** The variables of its UEFI firmware, among them what it boots. */
  readonly firmware?: ImageDisk
}
