/**
 * Post-copy needs `userfaultfd`: QEMU must hear of memory that the guest wants and that is not there yet. The kernel
 * keeps that from unprivileged processes, since it makes holes elsewhere easier to use, unless they may open this device.
 */
import { chmod, chown } from 'node:fs/promises'
import type { Log } from '@stead/core/ports/log.ts'

const DEVICE = '/dev/userfaultfd'

/** Until the next boot the guests' user may. Done when a first guest is to come that way, and not before. */
export async function giveUserfaultfd(user: { readonly gid: number }, log: Log): Promise<void> {
  try {
    await chown(DEVICE, 0, user.gid)
    await chmod(DEVICE, 0o660)
  } catch (cause) {
    // QEMU says itself that it cannot, and the copy goes on without.
    log.warn('guests cannot be received by post-copy', { cause })
  }
}
