import { keptRunsContract } from '@stead/sim/contract/kept-runs-contract.ts'
import { replicaSnapshotsContract } from '@stead/sim/contract/replica-snapshots-contract.ts'
import { volumeHostContract } from '@stead/sim/contract/volume-host-contract.ts'
import { makeQsdFixture } from './qsd-fixture.ts'

volumeHostContract('QsdVolumeHost', () => makeQsdFixture())
replicaSnapshotsContract('QsdVolumeHost', () => makeQsdFixture())
keptRunsContract('QsdVolumeHost', () => makeQsdFixture())
