/** The host-to-host protocol: JSON over HTTP, inside TLS with both hosts' certificates. */
import { causeChain } from '@stead/api/errors.ts'
import type { VolumeHost } from '@stead/core/ports/volume-host.ts'
import type { Result } from '@stead/core/result.ts'

/** The methods of `VolumeHost` that another host may call; `copy` streams and has its own route. */
export const VOLUME_METHODS = [
  'createReplica',
  'reserveReplica',
  'removeReplica',
  'exportToGuest',
  'serveAnew',
  'exportAsTarget',
  'revokeBelow',
  'revokeExport',
  'inspect',
  'dirtyBytes',
  'addBitmap',
  'removeBitmap',
  'dirtyRanges',
  'flush',
  'digests',
  'prepareSnapshot',
  'cutSnapshot',
  'sealSnapshot',
  'releaseSnapshot',
  'mergeLayers',
  'rollBackReplica',
  'heldSnapshots',
] as const satisfies readonly Exclude<keyof VolumeHost, 'copy'>[]
export type VolumeMethod = (typeof VOLUME_METHODS)[number]

/** Compiles only while the table names every method of the port. */
type Missing = Exclude<keyof VolumeHost, VolumeMethod | 'copy'>
export type EveryVolumeMethodIsListed = Missing extends never ? true : never
export const everyVolumeMethodIsListed: EveryVolumeMethodIsListed = true

export const COPY_HEARTBEAT_MS = 1000
/** Without a line for so long, the source of a copy is given up. */
export const COPY_SILENCE_MS = 5000

/** One line of a copy's answer. */
export type CopyLine =
  | { readonly progress: { readonly copiedBytes: number; readonly totalBytes: number } }
  | { readonly heartbeat: true }
  | { readonly result: Result<{ readonly copiedBytes: number; readonly totalBytes: number }> }

/** A result without what JSON cannot carry: causes become sentences. */
export function resultToJson(result: Result<unknown>): string {
  if (result.ok) return JSON.stringify({ ok: true, value: result.value })
  const { cause, ...error } = result.error
  const causes = causeChain(cause)
  return JSON.stringify({ ok: false, error: causes.length === 0 ? error : { ...error, cause: causes } })
}
