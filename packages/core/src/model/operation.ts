import type { BlobId, OperationId } from './ids.ts'

/** A long-running request. It survives the client and the agent that took it: its state is in the store. */
export interface Operation {
  readonly id: OperationId
  /** `vm.create`, `vm.start`, `host.drain`, ... */
  readonly kind: string
  /** `guest/<id>` or `host/<id>`. */
  readonly subject: string
  /** Whose the subject was when it began; absent where it is no project's. */
  readonly project?: string
  readonly state: 'running' | 'waiting' | 'succeeded' | 'failed'
  /** 0 to 1. */
  readonly progress: number
  /** What it is doing, or for `waiting` and `failed` why. */
  readonly message: string
  readonly failure?: { readonly code: string; readonly message: string; readonly hint?: string }
  /** The file that it has made, and its size in bytes. */
  readonly made?: { readonly blob: BlobId; readonly sizeBytes: number }
  readonly startedAt: number
  readonly finishedAt?: number
}

/** When it ends, if it does now: the clock of the host that began it may be ahead of this one's. */
export function endOf({ startedAt }: Operation, wallMs: number): number {
  return Math.max(wallMs, startedAt)
}
