import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { replicaGrantOf } from '@stead/core/ha/export-gate.ts'
import type { Grant } from '@stead/core/model/grant.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import { ok } from '@stead/core/result.ts'
import { rootCopiesContract, type RootCopiesFixture, type RootSide } from '@stead/sim/contract/root-copies-contract.ts'
import { KeyedLock } from '../storage/keyed-lock.ts'
import { SubvolumeCopies } from './subvolume-copies.ts'
import { SubvolumeFolder } from './subvolume-folder.ts'
import { SubvolumeVolumes } from './subvolume-volumes.ts'

const POOL = 'pool'
const POOL_BYTES = 512 * 2 ** 20
/** Into the stream, and short of its end. */
const BROKEN_AFTER_BYTES = 64 * 1024

rootCopiesContract('SubvolumeCopies', async (): Promise<RootCopiesFixture> => {
  const folder = mkdtempSync(join(tmpdir(), 'stead-copies-'))
  let record: Volume | undefined
  let grant: Grant | undefined
  let isBreaking = false
  const made = new Map<HostId, SubvolumeCopies>()
  const side = (id: string): RootSide => {
    const host = id as HostId
    const path = join(folder, id)
    mkdirSync(path)
    execFileSync('truncate', ['-s', String(POOL_BYTES), `${path}.img`])
    execFileSync('mkfs.btrfs', ['-q', `${path}.img`], { stdio: 'ignore' })
    execFileSync('mount', ['-o', 'loop', `${path}.img`, path])
    const lock = new KeyedLock()
    const pools = [{ name: POOL, path, capacityBytes: POOL_BYTES, port: 1 }]
    const volumes = new SubvolumeVolumes({
      ...{ lock, pools, hasBlob: () => false, blobPath: async (blob) => ok(blob) },
      readEpoch: async (_, pool) => ok(replicaGrantOf(grant, record!, host, pool)),
    })
    const roots = new SubvolumeCopies({
      ...{ self: host, pools, lock, readVolume: async () => ok(record), watch: () => () => undefined },
      open: async (other, order, signal) => {
        const sent = await made.get(other)!.send(order, signal)
        if (!sent.ok) return sent
        const isBroken = isBreaking
        isBreaking = false
        return ok(Readable.from(isBroken ? brokenOff(sent.value) : sent.value, { objectMode: false }))
      },
    })
    made.set(host, roots)
    const fileOf = (volume: Volume['id'], place: number) => join(new SubvolumeFolder(path).root(volume), `file${place}`)
    return {
      ...{ host, roots, volumes },
      write: async (volume, place, text) => writeFileSync(fileOf(volume, place), text),
      read: async (volume, place) => readFileSync(fileOf(volume, place), 'utf8'),
    }
  }
  const [home, away] = [side('h1'), side('h2')]
  return {
    ...{ pool: POOL, home, away },
    record: (volume, epoch) => {
      record = volume
      const host = volume.replicas[0]!.host
      grant = { guest: volume.guest, epoch, host, state: 'held', clean: false, grantedAt: 0, reason: '' }
    },
    breakNext: () => (isBreaking = true),
    leaveUnfinished: async ({ host }, volume, at) => {
      const pool = new SubvolumeFolder(join(folder, host))
      mkdirSync(pool.copies(volume), { recursive: true })
      execFileSync('btrfs', ['subvolume', 'create', pool.copy(volume, at)], { stdio: 'ignore' })
    },
    close: async () => {
      for (const { host } of [home, away]) execFileSync('umount', [join(folder, host)])
      rmSync(folder, { recursive: true })
    },
  }
})

/** As from a host that goes away in the middle, in order. */
async function* brokenOff(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of stream) {
    yield chunk
    if ((bytes += chunk.length) >= BROKEN_AFTER_BYTES) throw new Error('the host is gone')
  }
}
