/** What the root of a container is: of `ct create`, `ct restore` and `ct import`; and the copy that follows a native one. */
import type { Command } from 'commander'
import type { GuestView } from '@stead/api/views.ts'
import { badArgument, parseCount, parseDuration } from '../quantities.ts'
import type { SetBody } from './guest-settings.ts'

export const NATIVE_ROOT = [
  '--native-root',
  "its root is a subvolume of one host's pool on btrfs: made in milliseconds, mirrored by nothing",
] as const

export interface RootOptions extends CopyOptions {
  readonly replicas?: string
  readonly nativeRoot?: boolean
}

/** Nothing mirrors a native root. */
export function replicasFrom({ replicas: text, nativeRoot = false }: RootOptions): 1 | 2 | 3 {
  const replicas = text === undefined ? (nativeRoot ? 1 : 2) : parseCount(text, '--replicas')
  if (replicas !== 1 && replicas !== 2 && replicas !== 3) throw badArgument(`--replicas: ${replicas} is not 1, 2 or 3`)
  if (nativeRoot && replicas !== 1)
    throw badArgument('--replicas: a native root has one', 'Leave out --replicas or --native-root.')
  return replicas
}

type AskedCopy = NonNullable<SetBody['rootCopy']>

/** When nothing else is said. */
const COPY_EVERY_MS = 15 * 60_000

export interface CopyOptions {
  readonly copyEvery?: string
  readonly copyTo?: string
  readonly onLoss?: string
}

export function addCopyOptions(command: Command): Command {
  return command
    .option('--copy-every <duration>', 'a copy of its native root on another host follows it, so often: 5m, 1h')
    .option('--copy-to <host>', 'the host of the copy; one that has room when never said')
    .option('--on-loss <what>', "when the root's host is lost: `wait` (default), or `start-from-copy`")
}

/** Of `ct set`: what is not said stays as it is. Undefined: nothing is said of copies. */
export function changedCopyFrom(
  options: CopyOptions & { readonly copy?: boolean },
  present: () => Promise<GuestView['rootCopy']>,
): Promise<AskedCopy | null> | undefined {
  if (options.copy === false) return Promise.resolve(null)
  return saidOfCopy(options) && present().then((before) => copyFrom(options, before) ?? null)
}

/** Undefined: nothing is said of copies. */
export function copyFrom(options: CopyOptions, before: GuestView['rootCopy'] = null): AskedCopy | undefined {
  const said = saidOfCopy(options)
  if (!said) return undefined
  const to = said.to ?? before?.to ?? undefined
  return {
    ...(to === undefined ? {} : { to }),
    everyMs: said.everyMs ?? before?.everyMs ?? COPY_EVERY_MS,
    onLoss: said.onLoss ?? before?.onLoss ?? 'wait',
  }
}

function saidOfCopy({ copyEvery, copyTo, onLoss }: CopyOptions): Partial<AskedCopy> | undefined {
  if (copyEvery === undefined && copyTo === undefined && onLoss === undefined) return undefined
  if (onLoss !== undefined && onLoss !== 'wait' && onLoss !== 'start-from-copy')
    throw badArgument(`--on-loss: \`${onLoss}\` is neither wait nor start-from-copy`)
  return {
    ...(copyTo === undefined ? {} : { to: copyTo }),
    ...(copyEvery === undefined ? {} : { everyMs: parseDuration(copyEvery, '--copy-every') }),
    ...(onLoss === undefined ? {} : { onLoss }),
  }
}

/** Of each copy: where it is, how old, and what is wrong with it. */
export function copyLines({ volumes, rootCopy }: GuestView, nowMs: number): string {
  const every = rootCopy ? `, every ${durationText(rootCopy.everyMs)}` : ''
  const loss = rootCopy ? `; when its host is lost: ${rootCopy.onLoss}` : ''
  return volumes
    .flatMap(({ name, copies }) =>
      copies.map(({ host, pool, at, late, trouble }) => {
        const age = at === null ? 'not made yet' : `${durationText(nowMs - Date.parse(at))} old (${at})`
        const worry = [late ? 'LATE' : '', trouble].filter(Boolean).join(': ')
        return `${name} is copied to ${host}/${pool}${every}: ${age}${worry && `; ${worry}`}${loss}\n`
      }),
    )
    .join('')
}

function durationText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 120) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`
}
