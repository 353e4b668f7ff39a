/** A guest's CD drives: as its QEMU is to be started with them, and as they change while it runs. */
import type { Guest } from '../model/guest.ts'
import type { BlobId, GuestId } from '../model/ids.ts'
import type { GuestCdrom } from '../ports/guest-host.ts'
import { ok, type Result } from '../result.ts'
import type { HostContext } from './host-context.ts'

/** Between two tries to change a medium that could not be changed. */
const RETRY_MS = 5_000

/** Before the first disk, whose index is 1, or after it. */
const BOOT_INDEX = { before: 0, after: 2 }

/** The drives in the order of the machine. Files that are missing here are fetched from another host. */
export async function openMedia(context: HostContext, guest: Guest): Promise<Result<readonly GuestCdrom[]>> {
  const { media } = guest
  const drives: GuestCdrom[] = []
  if (media?.cdrom) {
    const path = await pathOf(context, media.cdrom.medium?.blob)
    if (!path.ok) return path
    const bootIndex = cdromBootIndex(guest)
    drives.push({
      id: 'cdrom',
      bus: 'sata',
      ...(path.value === undefined ? {} : { path: path.value }),
      ...(bootIndex === undefined ? {} : { bootIndex }),
    })
  }
  if (media?.cloudInit) {
    const path = await context.blobPath(media.cloudInit.blob)
    if (!path.ok) return path
    drives.push({ id: 'seed', bus: 'virtio-scsi', path: path.value })
  }
  return ok(drives)
}

function cdromBootIndex({ boot, media }: Guest): number | undefined {
  if (boot.kind !== 'disk') return undefined
  const order = media?.bootOrder ?? ['disk', 'cdrom']
  if (!order.includes('cdrom')) return undefined
  return order[0] === 'cdrom' ? BOOT_INDEX.before : BOOT_INDEX.after
}

async function pathOf(context: HostContext, blob: BlobId | undefined): Promise<Result<string | undefined>> {
  return blob === undefined ? ok(undefined) : context.blobPath(blob)
}

/** Makes the drive of a running guest hold what the record says. */
export class MediumKeeper {
  readonly #context: HostContext
  readonly #guest: GuestId
  /** `undefined` inside: the drive is known to be empty. Absent: not known, as after the agent's restart. */
  #holds: { readonly blob: BlobId | undefined } | undefined
  #notBeforeMs = 0

  constructor(context: HostContext, guest: GuestId) {
    this.#context = context
    this.#guest = guest
  }

  async keep(guest: Guest): Promise<void> {
    const { guests, clock, log } = this.#context
    if (!guest.media?.cdrom || clock.monotonicMs() < this.#notBeforeMs) return
    const wanted = guest.media.cdrom.medium?.blob
    if (this.#holds && this.#holds.blob === wanted) return
    const path = await pathOf(this.#context, wanted)
    const changed = path.ok ? await guests.changeMedium(this.#guest, 'cdrom', path.value) : path
    // Without a drive (it was given to the guest while it ran) the next start brings both.
    if (changed.ok || changed.error.code === 'not_found') {
      this.#holds = { blob: wanted }
      return
    }
    this.#notBeforeMs = clock.monotonicMs() + RETRY_MS
    log.warn('the medium of a CD drive could not be changed', { guest: this.#guest, cause: changed.error })
  }
}
