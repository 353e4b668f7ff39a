/** What a container may not ask of the kernel, beside what none may. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SECCOMP_PROFILE } from './lxc-config.ts'

/**
 * btrfs lets everybody make a subvolume in a folder of his own, and a new one has no quota: BTRFS_IOC_SNAP_CREATE,
 * SUBVOL_CREATE, SNAP_CREATE_V2, SUBVOL_CREATE_V2 (linux/btrfs.h). They end with EPERM.
 */
const SUBVOLUME_REQUESTS = [0x5000_9401, 0x5000_940e, 0x5000_9417, 0x5000_9418]

/**
 * CLONE_NEWUTS, CLONE_NEWIPC: CRIU cannot write down a second host name or a second IPC namespace, and systemd gives one to each
 * service with `ProtectHostname=` or `PrivateIPC=` (systemd-logind, for one). Where that is refused it warns, and does without:
 * the call that changes the host name stays refused to such a service all the same.
 */
const NAMESPACES = [0x0400_0000, 0x0800_0000]

/** Returns the path of the profile. */
export function writeSeccompProfile(
  folder: string,
  { rootIsSubvolume, nesting }: { readonly rootIsSubvolume?: true; readonly nesting: boolean },
): string {
  const path = join(folder, 'seccomp')
  const refusals = [
    ...(rootIsSubvolume ? SUBVOLUME_REQUESTS.map((request) => `ioctl errno 1 [1,${request},SCMP_CMP_EQ]`) : []),
    ...(nesting ? [] : NAMESPACES.map((flag) => `unshare errno 1 [0,${flag},SCMP_CMP_MASKED_EQ,${flag}]`)),
  ]
  writeFileSync(path, `${readFileSync(SECCOMP_PROFILE, 'utf8').trimEnd()}\n${refusals.join('\n')}\n`, { mode: 0o600 })
  return path
}
