/** Options of `ct restore` and `ct import`: what is said of a container beside what its file says. */
import type { Command } from 'commander'
import type { ContainerChoices } from '../import/container-request.ts'
import { parseCount, parseSize } from '../quantities.ts'
import { addContainerOptions, containerFrom, type ContainerOptions } from './ct-options.ts'
import { addCopyOptions, copyFrom, NATIVE_ROOT, replicasFrom, type RootOptions } from './ct-root.ts'

export interface MakingOptions extends ContainerOptions, RootOptions {
  readonly name?: string
  readonly memory?: string
  readonly disk?: string
  readonly cpus?: string
  readonly pool?: string
  readonly host?: string
  readonly project?: string
  readonly privileged?: boolean
  readonly nesting?: boolean
  readonly start?: boolean
}

export function addMakingOptions(command: Command): Command {
  const made = command
    .option('--memory <size>', 'memory, instead of what the file says')
    .option('--disk <size>', 'size of its root, instead of what the file says')
    .option('--cpus <n>', 'processors that it may use, instead of what the file says')
    .option('--replicas <n>', 'copies of each disk on different hosts: 1, 2 or 3; 2 when absent')
    .option(...NATIVE_ROOT)
    .option('--pool <name>', 'pool of the disks on each host')
    .option('--host <host>', 'where it should run')
    .option('--project <name>', 'whose it is to be; of the project default when absent')
    .option('--nesting', 'it may make containers itself; weakens what keeps it in')
    .option('--privileged', "its root is the host's root: only for those whom you trust like the host itself")
    .option('--signature <file>', 'of the archive, where the cluster demands one; see `template import`')
    .option('--start', 'start it once its disks exist')
  return addContainerOptions(addCopyOptions(made))
}

export function choicesFrom(options: MakingOptions): ContainerChoices {
  const { name, memory, disk, cpus, pool, host } = options
  const rootCopy = copyFrom(options)
  return {
    ...(name === undefined ? {} : { name }),
    ...(memory === undefined ? {} : { memoryBytes: parseSize(memory, '--memory') }),
    ...(disk === undefined ? {} : { diskBytes: parseSize(disk, '--disk') }),
    ...(cpus === undefined ? {} : { cpus: parseCount(cpus, '--cpus') }),
    ...(pool === undefined ? {} : { pool }),
    ...(host === undefined ? {} : { host }),
    root: options.nativeRoot ? 'native' : 'image',
    replicas: replicasFrom(options),
    ...(rootCopy ? { rootCopy } : {}),
    privileged: options.privileged === true,
    nesting: options.nesting === true,
    start: options.start === true,
    container: containerFrom(options),
  }
}
