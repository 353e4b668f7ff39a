/** An image's files on the hosts that keep it: more than one, so that it survives the loss of two. */
import { referencedBlobs } from '@stead/core/model/blob-references.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { BlobId, HostId } from '@stead/core/model/ids.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Result } from '@stead/core/result.ts'

/** The others fetch it when they need it. */
const IMAGE_COPIES = 3

export interface ImageCopiesOptions {
  readonly self: HostId
  readonly state: () => ClusterState
  /** All other hosts that are up. */
  readonly online: () => readonly HostId[]
  /** Has the host fetch them. */
  readonly fetchOn: (host: HostId, blobs: readonly BlobId[]) => Promise<Result<unknown>>
  readonly forgetOn: (host: HostId, order: ForgetOrder) => Promise<Result<unknown>>
  readonly log: Log
}

/** Has a host give up what no record names but the one with this id. */
export interface ForgetOrder {
  readonly blobs: readonly BlobId[]
  readonly id: string
}

export class ImageCopies {
  readonly #options: ImageCopiesOptions

  constructor(options: ImageCopiesOptions) {
    this.#options = options
  }

  /** Says where it is in the end. A host that cannot take it is stood in for by another; if there is none, it is told. */
  async send(name: string, blobs: readonly BlobId[], signal: AbortSignal): Promise<string> {
    const { self, fetchOn, log } = this.#options
    const waiting = this.#others()
    const [have, troubles]: [HostId[], string[]] = [[self], []]
    while (have.length < IMAGE_COPIES && waiting.length > 0 && !signal.aborted) {
      const asked = waiting.splice(0, IMAGE_COPIES - have.length)
      const fetching = asked.map(async (host) => [host, await fetchOn(host, blobs)] as const)
      for (const [host, answer] of (await orAborted(Promise.all(fetching), signal)) ?? []) {
        if (answer.ok) have.push(host)
        else {
          log.warn('a host did not take an image', { host, image: name, cause: answer.error })
          troubles.push(`${host} did not take it (${answer.error.message})`)
        }
      }
    }
    return [`it is on ${have.join(', ')}`, ...(have.length < IMAGE_COPIES ? troubles : [])].join('; ')
  }

  /** Of the import, or the copy of disks, with this id, which has come to nothing. */
  async takeBack(blobs: readonly BlobId[], id: string): Promise<void> {
    if (blobs.length === 0) return
    await Promise.all(this.#others().map((host) => this.#options.forgetOn(host, { blobs, id })))
  }

  #others(): HostId[] {
    const { hosts } = this.#options.state()
    return this.#options.online().filter((host) => hosts.get(host)?.value.role === 'compute')
  }
}

/** What records name, apart from the import or the copy of disks with this id. */
export function namedByOthers(state: ClusterState, id: string): ReadonlySet<BlobId> {
  const imports = new Map([...state.imports].filter(([, { value }]) => value.id !== id))
  const copies = new Map([...state.copies].filter(([, { value }]) => value.id !== id))
  return referencedBlobs({ ...state, imports, copies })
}

function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) return Promise.resolve(undefined)
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => resolve(undefined), { once: true })
    work.then(resolve, reject)
  })
}
