/** What the agent says of a container that LXC shall run: all that differs from one container to the next. */
import type { ContainerProcess } from '@stead/core/model/container.ts'

export interface LxcNic {
  /** `st<8 hex><n>`: as a VM's tap, so that limits and anti-spoofing find both by the same name. */
  readonly hostEnd: string
  /** The interface's name inside, `eth0`. */
  readonly name: string
  readonly mac: string
  readonly bridge: string
  readonly mtu: number
  /** With prefix length, IPv4 and IPv6. None: the container asks by DHCP, or has none. */
  readonly addresses: readonly string[]
  readonly gateways: readonly string[]
}

export interface LxcMount {
  readonly source: string
  /** Absolute inside the container. */
  readonly target: string
  readonly readOnly: boolean
}

export interface LxcDevice {
  /** On the host and inside: `/dev/dri/renderD128`. */
  readonly path: string
  readonly type: 'c' | 'b'
  readonly major: number
  readonly minor: number
}

export interface LxcSpec {
  readonly id: string
  /** The host name inside. */
  readonly name: string
  /** The container's folder: its files are configuration, logs, sockets and the pid file. At most 80 bytes long. */
  readonly folder: string
  /** Where other guests keep their mounts, above `folder`: none of them may be held by this container. */
  readonly guestsFolder: string
  /** The mounted root with ordinary ids on the disk. Not `nosuid`: LXC's bind mount would inherit it. */
  readonly rootPath: string
  /** First of the 65,536 user and group ids on the host; `privileged`: the host's own. */
  readonly idBase: number | 'privileged'
  /** Containers inside this one: its own proc and sysfs, and a cgroup tree that it may write. */
  readonly nesting: boolean
  readonly nics: readonly LxcNic[]
  readonly nameservers: readonly string[]
  readonly searchDomains: readonly string[]
  readonly mounts: readonly LxcMount[]
  readonly devices: readonly LxcDevice[]
  /** What its init takes for "halt": SIGPWR of sysvinit, SIGRTMIN+3 of systemd, SIGUSR1 of busybox. */
  readonly haltSignal: HaltSignal
  /** Instead of /sbin/init, word by word; no shell. */
  readonly init?: readonly string[]
  /** How that begins. */
  readonly process?: ContainerProcess
  /** Pseudo-terminals that may be open at a time; as usual when absent. */
  readonly terminalsMax?: number
  /** `lxc.*` lines of the limits. */
  readonly limitLines: readonly string[]
  /** Pid of the init of the guests' pid namespace: the container dies with the deadman. 0: the agent's own. */
  readonly namespacePid: number
  /** Name of the container's control group in every hierarchy. */
  readonly cgroup: string
  /** Its root is a subvolume: one that it made itself would have no quota. */
  readonly rootIsSubvolume?: true
}

/** Numbers of the kernel: Node has no names for real-time signals. */
export const HALT_SIGNALS = { SIGPWR: 30, 'SIGRTMIN+3': 37, SIGUSR1: 10, SIGTERM: 15, SIGINT: 2 } as const
export type HaltSignal = keyof typeof HALT_SIGNALS

/** LXC's folder of containers, in the mount namespace of `stead-container run`. */
export const LXC_PATH = '/run/stead-container/lxc'
/** There too: the terminal of its init. */
export const SHOWN_CONSOLE = '/run/stead-container/console'
/** There too: what is mounted below `<folder>/mounts`. */
export const SHOWN_MOUNTS = '/run/stead-container/mounts'

export interface LxcPrograms {
  /** Folder of `stead-run-guest` and `stead-container`. */
  readonly nativeDir: string
  readonly lxcStart: string
  readonly lxcAttach: string
  readonly lxcCheckpoint: string
}

export function lxcPrograms(nativeDir: string): LxcPrograms {
  return {
    ...{ nativeDir, lxcStart: '/usr/bin/lxc-start', lxcAttach: '/usr/bin/lxc-attach' },
    lxcCheckpoint: '/usr/bin/lxc-checkpoint',
  }
}
