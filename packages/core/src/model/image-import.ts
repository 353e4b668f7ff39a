/**
 * An image on its way: an upload that a host turns into one. The record is there as long as that takes; it ends in the
 * transaction that writes the image, or the reason why there is none. See docs/internals/images.md.
 */
import type { ClusterState } from './cluster.ts'
import type { FileMaking } from './file-making.ts'
import type { BlobId } from './ids.ts'

/** What an upload may be. All but `iso` become qcow2. */
export type UploadFormat = 'raw' | 'qcow2' | 'vmdk' | 'vhdx' | 'ova' | 'iso'

export type ImportTarget =
  | { readonly kind: 'disk'; readonly format: UploadFormat }
  /** A template of containers, of an archive; what the administrator says of its first process. */
  | {
      readonly kind: 'root'
      readonly init?: readonly string[]
      readonly haltSignal?: string
      readonly signature?: TemplateSignature
    }

/** Of the upload; `by`: the name of the trusted key. Only whoever reads the upload knows whether it is true. */
export interface TemplateSignature {
  readonly by: string
  readonly text: string
}

/** `name` is what the image will be called; of a template `NAME@VERSION`. */
export interface ImageImport extends FileMaking {
  readonly source: BlobId
  readonly target: ImportTarget
  /** Whose the image is to be; the cluster's when absent. */
  readonly project?: string
}

/** Subject of the operation and of the events. */
export function imageSubject(name: string): string {
  return `image/${name}`
}

/** A disk that no pool could hold is of no use to anybody. */
export function largestPoolBytes({ hosts }: ClusterState): number {
  return Math.max(0, ...[...hosts.values()].flatMap(({ value }) => value.pools.map((pool) => pool.capacityBytes)))
}
