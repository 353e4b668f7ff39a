/** The user's place in a lab: a namespace on its LAN, in a group of processes that goes with the lab. */
import { ok, type Result } from '@stead/core/result.ts'
import { cgroupFolder, createCgroup } from './control-group.ts'
import { joinedTo } from './lab-host.ts'
import type { Lab } from './lab.ts'
import { CLIENT_NAME, namespaceFile } from './topology.ts'

/** The command that runs `command` there. */
export function enterClient({ boot }: Lab, command: readonly string[]): Result<readonly string[]> {
  const { places, cgroupRoot } = boot
  // In a group of the lab, so that `lab down` also ends what the command leaves running.
  const cgroup = cgroupFolder(cgroupRoot, places.lab, CLIENT_NAME)
  const grouped = createCgroup(cgroup)
  if (!grouped.ok) return grouped
  return ok(joinedTo(cgroup, ['nsenter', `--net=${namespaceFile(places.lab, CLIENT_NAME)}`, '--', ...command]))
}
