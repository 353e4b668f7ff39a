/** What a host gives its containers, and where they are on it. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import type { Log } from '@stead/core/ports/log.ts'

export interface LxcGuestHostOptions {
  /** Holds one folder a container. Short: sockets lie below it. */
  readonly containersFolder: string
  readonly nativeDir: string
  readonly user?: { readonly uid: number; readonly gid: number }
  /** Pid of the init of the guests' pid namespace, so that the deadman reaches every container; undefined: none. */
  readonly namespacePid: () => Promise<number | undefined>
  /** The bridge of the guests' network. */
  readonly bridge: string
  /** Path of CRIU. */
  readonly criu?: string
  readonly log: Log
}

/** Debian's. */
export const CRIU_PATH = '/usr/sbin/criu'

export function mtuOf(bridge: string): number | undefined {
  try {
    return Number(readFileSync(`/sys/class/net/${bridge}/mtu`, 'utf8'))
  } catch {
    return undefined
  }
}

export function foldersIn(path: string): readonly string[] {
  return existsSync(path) ? readdirSync(path) : []
}
