/** A guest's memory and processors: options that set them, and how they are shown. */
import type { Command } from 'commander'
import type { GuestView } from '@stead/api/views.ts'
import { formatSize, parseCount, parseSize } from '../quantities.ts'

/** Of `vm create` and `vm set`. */
export function addMaximumOptions(command: Command): Command {
  return command
    .option('--max-memory <size>', 'memory up to which it can grow while it runs, with a balloon; from a start on')
    .option('--max-cpus <n>', 'processors up to which it can grow while it runs; from a start on')
}

export function maximaFrom(options: Readonly<Record<string, unknown>>): {
  readonly memoryMaxBytes?: number
  readonly cpusMax?: number
} {
  const { maxMemory, maxCpus } = options
  return {
    ...(typeof maxMemory === 'string' ? { memoryMaxBytes: parseSize(maxMemory, '--max-memory') } : {}),
    ...(typeof maxCpus === 'string' ? { cpusMax: parseCount(maxCpus, '--max-cpus') } : {}),
  }
}

/** Of `vm set`. */
export function addSizeOptions(command: Command): Command {
  command
    .option('--memory <size>', '128MiB, 1GiB; a running guest has it up to its maximum at once, else at its next start')
    .option('--cpus <n>', 'virtual processors; a running guest has them up to its maximum at once')
    .option('--balloon <size>', 'leave a running guest so much of its memory; off gives it all back')
  return addMaximumOptions(command)
}

export function sizeFrom(options: Readonly<Record<string, unknown>>): ReturnType<typeof maximaFrom> & {
  readonly memoryBytes?: number
  readonly cpus?: number
  readonly balloonBytes?: number | null
} {
  const { memory, cpus, balloon } = options
  return {
    ...(typeof memory === 'string' ? { memoryBytes: parseSize(memory, '--memory') } : {}),
    ...(typeof cpus === 'string' ? { cpus: parseCount(cpus, '--cpus') } : {}),
    ...(typeof balloon === 'string'
      ? { balloonBytes: balloon === 'off' ? null : parseSize(balloon, '--balloon') }
      : {}),
    ...maximaFrom(options),
  }
}

/** For `vm show`: what it is to have, what it has where that differs, and up to what it can grow. */
export function sizeFields({
  memoryBytes,
  cpus,
  maximum,
  balloonBytes,
  now,
  memoryUse,
}: GuestView): [string, string | null][] {
  const memory = [
    ...(now && now.memoryBytes !== memoryBytes ? [`runs with ${formatSize(now.memoryBytes)}`] : []),
    ...(maximum.memoryBytes === null ? [] : [`up to ${formatSize(maximum.memoryBytes)}`]),
  ]
  const processors = [
    ...(now && now.cpus !== cpus ? [`runs with ${now.cpus}`] : []),
    ...(maximum.cpus === null ? [] : [`up to ${maximum.cpus}`]),
  ]
  const left = now?.balloonBytes ?? null
  const reached = balloonBytes !== null && left !== null && left !== balloonBytes ? ` (now ${formatSize(left)})` : ''
  const use =
    memoryUse &&
    `${formatSize(memoryUse.freeBytes)} free, ${formatSize(memoryUse.availableBytes)} available of ${formatSize(memoryUse.totalBytes)}`
  return [
    ['memory', `${formatSize(memoryBytes)}${inBrackets(memory)}`],
    ['balloon', balloonBytes === null ? null : `leaves ${formatSize(balloonBytes)}${reached}`],
    ['memory use', use],
    ['cpus', `${cpus}${inBrackets(processors)}`],
  ]
}

function inBrackets(parts: readonly string[]): string {
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`
}
