/** The port of a host that cannot move guests live: its host record names no QEMU, so nobody ever asks it to. */
import { failure } from '../errors.ts'
import type { GuestMigration } from '../ports/guest-migration.ts'
import { fail, ok } from '../result.ts'

const refuse = async () => fail(failure('conflict', 'This host cannot move guests live'))

export const NO_MIGRATION: GuestMigration = {
  receive: refuse,
  awaitArrival: refuse,
  launchOf: refuse,
  send: refuse,
  awaitStandstill: refuse,
  progress: refuse,
  startPostCopy: refuse,
  relinquishDisks: refuse,
  complete: refuse,
  cancel: async () => ok(),
}
