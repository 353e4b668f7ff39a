/** One container's control groups, whichever family the host has. */
import type { ContainerLimits } from '@stead/core/model/container-limits.ts'
import { enforcementOf, type ContainerResourceName } from '@stead/core/model/container-resources.ts'
import type { ContainerCgroup } from './cgroup-files.ts'
import { cgroupSettings, type Placement } from './cgroup-settings.ts'
import { containerFolders, type CgroupMounts, type ControllerFolder } from './cgroup-tree.ts'
import { CgroupV1, v1Files } from './cgroup-v1.ts'
import { CgroupV2, v2Files } from './cgroup-v2.ts'
import { processLimitLines } from './process-limits.ts'

/** Of a container that runs: the groups that LXC made for it, in every hierarchy of the host. */
export function containerCgroup(groups: readonly ControllerFolder[]): ContainerCgroup {
  const at = containerFolders(groups)
  return at.family === 'v1' ? new CgroupV1(at) : new CgroupV2(at)
}

/** What a host's kernel does about the resource: as its family, but for files that it lacks. */
export function enforcement(cgroup: ContainerCgroup, resource: ContainerResourceName): 'limit' | 'counted' {
  return cgroup.lacks.has(resource) ? 'counted' : enforcementOf(resource, cgroup.family)
}

/**
 * The lines of LXC's configuration that make the limits hold from the first instruction on. What is optional is left to
 * `set`, right after the start.
 */
export function startLines(mounts: CgroupMounts, limits: ContainerLimits, placement: Placement = {}): string[] {
  const settings = cgroupSettings(limits, placement)
  const files = mounts.family === 'v1' ? v1Files(settings) : v2Files(settings)
  const key = mounts.family === 'v1' ? 'lxc.cgroup' : 'lxc.cgroup2'
  return [
    ...files
      .filter(
        ({ isLimit, isOptional, controller }) => isLimit && !isOptional && mounts.folders[controller] !== undefined,
      )
      .map(({ name, value }) => `${key}.${name} = ${value}`),
    ...processLimitLines(limits),
  ]
}
