/** What the root of a new container is: of `ct create`, `ct restore` and `ct import`. */
import { badArgument, parseCount } from '../quantities.ts'

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
