/**
 * Port: the guests that run on one host. The real implementation drives QEMU. It makes no choices: it is told
 * what to start and which legs to drop or add, and it reports what happens.
 */
import type { GuestId, VolumeId } from '../model/ids.ts'
import type { ContainerSystem } from '../model/container.ts'
import type { ContainerLimits } from '../model/container-limits.ts'
import type { ProcessorLevel } from '../model/processor.ts'
import type { GuestDisplay, GuestKind, Nic } from '../model/guest.ts'
import type { VolumeRole, WatchdogAction } from '../model/platform.ts'
import type { ClaimedDevice } from './host-devices.ts'
import type { Result } from '../result.ts'
import type { GuestHardware } from './guest-hardware.ts'
import type { MigrationProgress } from './guest-migration.ts'
import type { ExportKey } from './volume-host.ts'

/** One leg of a mirrored disk: a replica's export as this guest sees it. */
export interface Leg {
  /** The replica's host; names the leg within the disk. */
  readonly host: string
  readonly endpoint:
    | { readonly kind: 'unix'; readonly path: string }
    | {
        readonly kind: 'tcp'
        readonly address: string
        readonly port: number
        /** Spoken in TLS with it; in clear when absent: a server of this very host. */
        readonly key?: ExportKey
      }
  readonly exportName: string
  /** A subvolume of this host, which a container mounts as it is. It is its disk's only leg, and `endpoint` no server. */
  readonly folder?: string
  /** Served by the guest's own host: it is read first. A unix socket is local without saying so. */
  readonly local?: boolean
}

export interface GuestDisk {
  readonly volume: VolumeId
  readonly sizeBytes: number
  /** In the order of reading: the local replica first. At least one. */
  readonly legs: readonly Leg[]
  /** How many replicas the volume has; missing legs are held open by a filler that refuses reads. */
  readonly width: number
  /** The number of the disk, which decides its place in the machine; absent: its position in the list. */
  readonly slot?: number
  /** Not a disk but what the machine itself keeps. */
  readonly role?: VolumeRole
}

export interface LaunchNic extends Nic {
  /** Of a container: the name that the host's end of its veth pair is to have. */
  readonly tap: string
}

/** A CD drive. Its medium is a file on this host, which QEMU only reads. */
export interface GuestCdrom {
  readonly id: 'cdrom' | 'seed'
  /** Every system knows a SATA drive; Debian's cloud kernel knows only the one behind virtio. */
  readonly bus: 'sata' | 'virtio-scsi'
  /** Absent: the drive is empty. */
  readonly path?: string
  /** Lower is tried first; the first disk has 1. Absent: it is not booted from. */
  readonly bootIndex?: number
}

export interface GuestLaunch {
  readonly guest: GuestId
  readonly name: string
  readonly epoch: number
  /** What it boots with. */
  readonly memoryBytes: number
  readonly cpus: number
  /** Places for so many processors; absent: it keeps those that it starts with. Then `cpus` are those that are there. */
  readonly cpusMax?: number
  /** A balloon, and room to grow up to this; absent: neither. */
  readonly memoryMaxBytes?: number
  /** What it was given beyond `memoryBytes` since it began to run. */
  readonly memoryAddedBytes?: number
  readonly boot:
    | { readonly kind: 'kernel'; readonly kernelPath: string; readonly initrdPath?: string; readonly append: string }
    | { readonly kind: 'disk' }
    | { readonly kind: 'container' }
  /** Of a container only. */
  readonly container?: LaunchContainer
  readonly disks: readonly GuestDisk[]
  readonly cdroms?: readonly GuestCdrom[]
  readonly nics: readonly LaunchNic[]
  readonly accelerator: 'kvm' | 'tcg'
  /** The processor that the guest sees; absent: all that the host's own can. */
  readonly processorLevel?: ProcessorLevel
  /** The hypervisor's versioned machine, `pc-q35-10.0`. Absent: the newest that the host has. */
  readonly machine?: string
  /** `none` when absent. */
  readonly display?: GuestDisplay
  readonly platform?: LaunchPlatform
}

/** `ContainerSettings` as this host needs them. */
export interface LaunchContainer {
  readonly hostname: string
  readonly system: ContainerSystem
  /** First of its 65,536 ids on the host; absent: it is privileged and has the host's own. */
  readonly idBase?: number
  readonly nesting: boolean
  readonly nameservers: readonly string[]
  readonly searchDomains: readonly string[]
  readonly limits: ContainerLimits
  /** Where disks after the first are mounted, absolute paths inside. */
  readonly mounts: readonly { readonly volume: VolumeId; readonly path: string }[]
}

/** `GuestPlatform` as this host makes it. */
export interface LaunchPlatform {
  readonly firmware?: { readonly codePath: string; readonly secureBoot: boolean }
  readonly watchdog?: WatchdogAction
  readonly tpm?: true
  readonly devices?: readonly ClaimedDevice[]
  /** Processors of the host, one for each virtual one. */
  readonly cpus?: readonly number[]
  readonly memory?: {
    /** Into how many nodes the guest's memory and processors are divided. */
    readonly nodes: number
    /** Nodes of the host, to which those of the guest are bound in turn; empty: none is bound. */
    readonly hostNodes: readonly number[]
    /** Huge pages of this size; ordinary memory when absent. */
    readonly pageBytes?: number
  }
}

export interface RunningGuest {
  readonly guest: GuestId
  readonly epoch: number
  readonly pid: number
  /**
   * `arriving`: it waits for its memory from another host, its disks untouched. `departed`: its memory has gone to
   * another host, and it never runs here again.
   */
  readonly status: 'running' | 'paused' | 'io-error' | 'shutdown' | 'arriving' | 'departed' | 'other'
  /** How far its memory is on the way to another host; absent while none is. It stands still in `standing-still`. */
  readonly sending?: MigrationProgress['phase']
  /** The legs that the graph really holds now, per volume. */
  readonly legs: ReadonlyMap<VolumeId, readonly string[]>
  /** The disks with the legs that the graph really holds, and where those are served. */
  readonly disks: readonly GuestDisk[]
}

export type GuestEvent =
  /** A write or a read failed on some leg; QEMU has stopped the guest. */
  | {
      readonly kind: 'io-error'
      readonly guest: GuestId
      readonly epoch: number
      readonly volume: VolumeId
      readonly reason: string
      /** The legs that QEMU saw fail. May be incomplete: events of a disconnected monitor are lost. */
      readonly hosts?: readonly string[]
    }
  | {
      readonly kind: 'exited'
      readonly guest: GuestId
      readonly epoch: number
      readonly cause: 'guest-shutdown' | 'asked' | 'killed'
      readonly reason: string
      /** True when it is known that all legs were flushed after the last write. */ readonly flushed?: boolean
    }
  | { readonly kind: 'reset'; readonly guest: GuestId; readonly epoch: number }
  /** The guest did not feed its watchdog; what the launch says of it is being done. */
  | { readonly kind: 'watchdog'; readonly guest: GuestId; readonly epoch: number; readonly action: WatchdogAction }

export type ExpectedStart = Pick<GuestLaunch, 'guest' | 'name' | 'epoch'> & { readonly kind: GuestKind }

export interface GuestHost extends GuestHardware {
  /**
   * A start follows when the guest's disks, which are served, are open: what needs none of them may begin. A hint; nothing
   * depends on it. What it returns is to be called once the start is over, or will not come: what was begun in vain is then
   * ended.
   */
  expect(start: ExpectedStart): () => void
  /** Returns when QEMU runs and its disks are open. A running older epoch of the guest is killed first. */
  start(launch: GuestLaunch): Promise<Result<RunningGuest>>
  /** Asks the guest to shut down, by its agent or by the power button; resolves at once. */
  requestShutdown(guest: GuestId): Promise<Result<void>>
  /** Flushes the disks and quits QEMU. True when every flush succeeded: the end is clean. */
  quit(guest: GuestId): Promise<Result<{ readonly flushed: boolean }>>
  /** SIGKILL, awaited. Harmless when it does not run. */
  kill(guest: GuestId): Promise<Result<void>>
  /** Finds the QEMU processes that outlived an agent and connects to them. */
  adopt(): Promise<readonly RunningGuest[]>
  inspect(guest: GuestId): Promise<Result<RunningGuest>>
  pause(guest: GuestId): Promise<Result<void>>
  resume(guest: GuestId): Promise<Result<void>>
  /** Fails all requests in flight on a leg, out of band: works while QEMU's main loop is stuck on it. */
  yankLeg(guest: GuestId, volume: VolumeId, host: string): Promise<Result<void>>
  /** Replaces a leg by the filler. The guest must be paused. */
  dropLeg(guest: GuestId, volume: VolumeId, host: string): Promise<Result<void>>
  /** Connects a leg's export without using it, so that the later attach is quick. Probes the server first. */
  prepareLeg(guest: GuestId, volume: VolumeId, leg: Leg): Promise<Result<void>>
  /** Puts a prepared leg in the filler's place. The guest must be paused. */
  attachLeg(guest: GuestId, volume: VolumeId, host: string): Promise<Result<void>>
  /**
   * Puts a new connection to the same replica in the place of the host's attached leg, which is closed; also where it
   * is the only one. Probes the server first. The guest must be paused. On a failure the old leg, the new one or
   * both may be there: repeating it, or `dropLeg`, makes that whole again. A disk of width 1 has no place for it.
   */
  replaceLeg(guest: GuestId, volume: VolumeId, leg: Leg): Promise<Result<void>>
  /** Undoes `prepareLeg`. */
  discardLeg(guest: GuestId, volume: VolumeId, host: string): Promise<Result<void>>
  /** Waits for all requests in flight, then flushes every leg of the disk. */
  drainAndFlush(guest: GuestId, volume: VolumeId): Promise<Result<void>>
  /**
   * Puts another file into a CD drive of a running guest, or none: what lay in it is ejected, even when the guest has
   * locked the drive. Harmless when the file lies in it already. `not_found`: the guest has no such drive.
   */
  changeMedium(guest: GuestId, drive: GuestCdrom['id'], path: string | undefined): Promise<Result<void>>
  /** Path of the serial console's log of the present boot. */
  consoleLogPath(guest: GuestId): string
  subscribe(listener: (event: GuestEvent) => void): () => void
}
