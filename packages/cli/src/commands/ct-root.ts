/** What the root of a container is: of `ct create`, `ct restore` and `ct import`; and the copy that follows a native one. */
import type { Command } from 'commander'
import type { GuestView } from '@stead/api/views.ts'
import { badArgument, parseCount, parseDuration } from '../quantities.ts'
import type { SetBody } from './guest-settings.ts'

export const NATIVE_ROOT = [
  '--native-root',
  "its root is a subvolume of one host's pool on btrfs: made in milliseconds, mirrored by nothing",
] as const

export interface RootOptions {
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

export function addCopyOptions(command: Command): Command {
  return command
    .option('--copy-every <duration>', 'a copy of its native root on another host follows it, so often: 5m, 1h')
    .option('--copy-to <host>', 'the host of the copy; one that has room when never said')
    .option('--on-loss <what>', "when the root's host is lost: `wait` (default), or `start-from-copy`")
    .option('--no-copy', 'no copy follows it any more')
}

/** What is not said stays as it is. Undefined: nothing is said of copies. */
export function copyFrom(
  options: Readonly<Record<string, unknown>>,
  present: () => Promise<GuestView['rootCopy']>,
): Promise<AskedCopy | null> | undefined {
  const { copyEvery, copyTo, onLoss, copy } = options
  if (copy === false) return Promise.resolve(null)
  if (copyEvery === undefined && copyTo === undefined && onLoss === undefined) return undefined
  if (onLoss !== undefined && onLoss !== 'wait' && onLoss !== 'start-from-copy')
    throw badArgument(`--on-loss: \`${String(onLoss)}\` is neither wait nor start-from-copy`)
  const everyMs = copyEvery === undefined ? undefined : parseDuration(String(copyEvery), '--copy-every')
  return present().then((before): AskedCopy => {
    const to = copyTo === undefined ? (before?.to ?? undefined) : String(copyTo)
    return {
      ...(to === undefined ? {} : { to }),
      everyMs: everyMs ?? before?.everyMs ?? COPY_EVERY_MS,
      onLoss: onLoss ?? before?.onLoss ?? 'wait',
    }
  })
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
