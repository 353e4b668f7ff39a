/** Real storage daemons in a temporary folder, for tests of this folder. */
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { failure } from '@stead/core/errors.ts'
import type { BlobId, VolumeId } from '@stead/core/model/ids.ts'
import type { ExportAddress } from '@stead/core/ports/volume-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ExportClient, RecordedState } from '@stead/sim/contract/volume-host-contract.ts'
import type { KeptRunsFixture, KeptRunsSide } from '@stead/sim/contract/kept-runs-contract.ts'
import { freePort } from '../free-port-fixture.ts'
import { NbdClient } from '../nbd/nbd-client.ts'
import { QsdVolumeHost } from './qsd-volume-host.ts'

export const POOL = 'pool'
/** Of each side as well; its storage daemon is started by who uses it. */
export const SECOND_POOL = 'second'
const HELPER = fileURLToPath(new URL('../../../../.native/bin/stead-run-guest', import.meta.url))
const HUGE_BYTES = 2 ** 50

export interface QsdSide extends KeptRunsSide {
  readonly volumes: QsdVolumeHost
  /** Another agent of the same host: its own object over the same daemon, once this one has been released. */
  successor(): QsdVolumeHost
}

export interface QsdFixture extends KeptRunsFixture {
  readonly source: QsdSide
  readonly target: QsdSide
  readonly folder: string
}

export async function makeQsdFixture(capacityBytes = 2 ** 40): Promise<QsdFixture> {
  const folder = await mkdtemp(join(tmpdir(), 'stead-qsd-'))
  const blobs = new Map<string, string>()
  const hosts: QsdVolumeHost[] = []
  const make = async (host: string, other: () => QsdVolumeHost): Promise<QsdSide> => {
    const records = new Map<VolumeId, RecordedState>()
    const [port, secondPort] = [await freePort(), await freePort()]
    let boots = 1
    const open = () => {
      const volumes = new QsdVolumeHost({
        pools: [
          { name: POOL, path: join(folder, host), capacityBytes, port, listenAddress: '127.0.0.1' },
          {
            ...{ name: SECOND_POOL, path: join(folder, `${host}-second`), capacityBytes },
            ...{ port: secondPort, listenAddress: '127.0.0.1' },
          },
        ],
        helper: HELPER,
        bootId: `boot ${boots}`,
        readEpoch: async (volume) => {
          const record = records.get(volume)
          return record ? ok(record) : fail(failure('not_found', `No record of ${volume}`))
        },
        readRollBack: async (volume) => ok(records.get(volume)?.rollBackTo),
        blobPath: async (blob) => ok(blobs.get(blob) ?? ''),
        remoteDigests: (_, volume, pool, range) => other().digests(volume, pool, range),
      })
      hosts.push(volumes)
      return volumes
    }
    let volumes = open()
    const startDaemon = async () => must(await volumes.ensureDaemon(POOL))
    const killDaemon = async () => {
      must(await must(volumes.daemon(POOL)).kill())
    }
    const boot = async () => {
      await killDaemon()
      volumes.release()
      boots += 1
      volumes = open()
      await startDaemon()
    }
    return {
      host,
      get volumes() {
        return volumes
      },
      killDaemon,
      startDaemon: async () => void (await startDaemon()),
      boot,
      address: '127.0.0.1',
      record: (volume, granted) => records.set(volume, granted),
      connect: connectExport,
      successor: open,
    }
  }
  const close = async () => {
    for (const host of hosts) await host.shutdown()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const source: QsdSide = await make('a', () => target.volumes)
    const target: QsdSide = await make('b', () => source.volumes)
    for (const side of [source, target]) await side.startDaemon()
    const addBlob = async (content: Buffer) => {
      const path = join(folder, `blob-${blobs.size}`)
      await writeFile(path, content)
      const blob = `sha256:${createHash('sha256').update(content).digest('hex')}` as BlobId
      blobs.set(blob, path)
      return blob
    }
    return { pool: POOL, source, target, tooLargeBytes: HUGE_BYTES, addBlob, folder, close }
  } catch (error) {
    await close()
    throw error
  }
}

export async function connectExport({ exportName, loopback, port }: ExportAddress): Promise<Result<ExportClient>> {
  const endpoint = { kind: 'tcp', address: loopback, port } as const
  const client = await NbdClient.connect({ endpoint, exportName, timeoutMs: 5_000 })
  if (!client.ok) return client
  const { value } = client
  return ok({
    read: (offset, length) => value.read(offset, length),
    write: (offset, data) => value.write(offset, data),
    flush: () => value.flush(),
    close: () => value.disconnect(),
  })
}

function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(JSON.stringify(result.error), { cause: result.error })
  return result.value
}
