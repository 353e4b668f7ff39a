/** What a guest finds in its CD drives, in which order it boots, and what cloud-init tells it at its first boot. */
import type { BlobId } from './ids.ts'

export type BootDevice = 'disk' | 'cdrom'

/** A file that lies in a drive. Read-only, whole on every host that runs the guest. */
export interface Medium {
  readonly blob: BlobId
  /** The image's name when it was put in; for people. */
  readonly name: string
}

export interface GuestMedia {
  /** The drive for installation media; absent: the guest has none. It may be empty. */
  readonly cdrom?: { readonly medium?: Medium }
  /** Tried in this order; `disk`, then `cdrom`, when absent: an empty disk is passed over, an installed one boots. */
  readonly bootOrder?: readonly BootDevice[]
  readonly cloudInit?: CloudInitSeed
}

export interface CloudInitSeed {
  readonly settings: CloudInitSettings
  /** The image with the label `cidata` that these settings make. */
  readonly blob: BlobId
}

export interface CloudInitSettings {
  /** A user who may become root without a password; absent: the image's default user. */
  readonly user?: string
  /** Public keys with which this user may log in, as in `authorized_keys`. */
  readonly sshKeys?: readonly string[]
  /** The guest's name when absent. */
  readonly hostname?: string
  /** Of the first network card; the image's own way when absent. */
  readonly network?: CloudInitNetwork
  /** Taken as it is, `#cloud-config` or a script; what it says wins over all of the above. */
  readonly userData?: string
}

export type CloudInitNetwork =
  | { readonly kind: 'dhcp' }
  | {
      readonly kind: 'static'
      /** With the prefix: `192.0.2.10/24`. */
      readonly address: string
      readonly gateway?: string
      readonly nameservers?: readonly string[]
    }
