import { guestMigrationContract } from './contract/guest-migration-contract.ts'
import { memoryMigrationHarness } from './memory-migration-fixture.ts'

guestMigrationContract('in memory', () => memoryMigrationHarness('vm'))
guestMigrationContract('containers in memory', () => memoryMigrationHarness('ct'))
