/** What a container whose root is a subvolume may not ask of the kernel, beside what none may. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SECCOMP_PROFILE } from './lxc-config.ts'

/**
 * btrfs lets everybody make a subvolume in a folder of his own, and a new one has no quota: BTRFS_IOC_SNAP_CREATE,
 * SUBVOL_CREATE, SNAP_CREATE_V2, SUBVOL_CREATE_V2 (linux/btrfs.h). They end with EPERM.
 */
const SUBVOLUME_REQUESTS = [0x5000_9401, 0x5000_940e, 0x5000_9417, 0x5000_9418]

/** Returns the path of the profile. */
export function writeProfileWithoutSubvolumes(folder: string): string {
  const path = join(folder, 'seccomp')
  const refusals = SUBVOLUME_REQUESTS.map((request) => `ioctl errno 1 [1,${request},SCMP_CMP_EQ]`)
  writeFileSync(path, `${readFileSync(SECCOMP_PROFILE, 'utf8').trimEnd()}\n${refusals.join('\n')}\n`, { mode: 0o600 })
  return path
}
