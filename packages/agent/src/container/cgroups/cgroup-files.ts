/** What both families have in common: settings as files, and what is read from them. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import type { CounterReadings } from '@stead/core/model/container-counters.ts'
import type { CgroupFamily, ContainerResourceName } from '@stead/core/model/container-resources.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { CgroupSettings } from './cgroup-settings.ts'
import { isGone, type CgroupMounts, type Controller } from './cgroup-tree.ts'

/** A setting as a file of one family. */
export interface CgroupFile {
  readonly controller: Controller
  readonly name: string
  readonly value: string
  /** The resources that depend on it. */
  readonly resources: readonly ContainerResourceName[]
  /** False: the value is what the kernel has without a limit; written to take one away. */
  readonly isLimit: boolean
  /** Not every kernel has it in every group; LXC would refuse to start over it. It is written once the container runs. */
  readonly isOptional?: true
}

/** What has been used since the container's start; memory: at this moment. */
export interface CgroupUsage {
  readonly cpuMicroseconds: number
  readonly memoryBytes: number
  readonly readBytes: number
  readonly writtenBytes: number
  readonly reads: number
  readonly writes: number
}

export interface ContainerCgroup {
  readonly family: CgroupFamily
  /** Changes the limits of the running container, all of them. Repeatable. */
  set(settings: CgroupSettings): Result<void>
  /** A few files: that nothing was used tells that there is nothing new in the others. */
  usage(): CgroupUsage
  /** All the others. */
  counters(): CounterReadings
  /** Every process and, of v1, the refusals of its inner groups; walks the tree. */
  processes(): readonly number[]
  /** Resources for whose limit this host's kernel lacks the file. */
  readonly lacks: ReadonlySet<ContainerResourceName>
}

/** Which resources this kernel cannot limit for want of a file. */
export function lackedBy({ folders }: CgroupMounts, files: readonly CgroupFile[]): Set<ContainerResourceName> {
  const missing = files.filter(({ controller, name }) => {
    const folder = folders[controller]
    return folder === undefined || !existsSync(join(folder, name))
  })
  return new Set(missing.flatMap(({ resources }) => resources))
}

/** Writes the files that there are, and says of the first that was refused why. */
export function writeFiles({ folders }: CgroupMounts, files: readonly CgroupFile[]): Result<void> {
  for (const { controller, name, value, resources } of files) {
    const folder = folders[controller]
    if (folder === undefined || !existsSync(join(folder, name))) continue
    try {
      writeFileSync(join(folder, name), value)
    } catch (cause) {
      if (isGone(cause) && !existsSync(folder))
        return fail(failure('conflict', 'the container does not run any more', { cause }))
      return fail(refusal(name, value, resources, cause))
    }
  }
  return ok()
}

function refusal(name: string, value: string, resources: readonly string[], cause: unknown) {
  const what = resources.join(', ')
  if ((cause as NodeJS.ErrnoException).code === 'EBUSY')
    return failure('conflict', `${what}: the container uses more than ${value} bytes and cannot give them back`, {
      cause,
      hint: 'End processes in it first, or stop it',
    })
  return failure('hypervisor', `${what}: the kernel refused ${value} in ${name}`, {
    cause,
    hint: 'The limit may be outside what the kernel knows, or beyond that of a group above',
  })
}
