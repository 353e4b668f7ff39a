/** The contract on real LXC and CRIU: two hosts on one bare host. */
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { guestMigrationContract } from '@stead/sim/contract/guest-migration-contract.ts'
import { onBareHost } from '../bare-host-fixture.ts'
import { TwoHosts } from './two-hosts-fixture.ts'
import { workingCriu } from './working-criu-fixture.ts'

// Outside of the bare host, which reaches no mirror, too.
const found = workingCriu()
if ('missing' in found) {
  const why = `no CRIU works here: ${found.missing}`
  test(`GuestMigration contract: LXC, not run since ${why}`, { skip: why })
} else
  await onBareHost(fileURLToPath(import.meta.url), () => guestMigrationContract('LXC', () => TwoHosts.up(found.path)))
