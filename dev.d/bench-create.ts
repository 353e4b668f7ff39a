/** From the request for a guest that starts from an image to its running QEMU, the guest's own boot left out. */
import { mkdtempSync, openSync, rmSync, writeSync, closeSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { bootSector } from '@stead/agent/qemu/boot-sector.ts'
import type { Result } from '@stead/core/result.ts'
import { BenchLab, monotonicMs } from './bench-lab.ts'

export interface CreateReport {
  /** Data in the image, bytes. */
  readonly imageBytes: number
  readonly linkedMs: readonly number[]
  readonly fullMs: readonly number[]
}

export const LINKED_TARGET_MS = 400

const MIB = 2 ** 20
const HOST = 'h1'

/** Disks have two replicas; the image is on all hosts already. */
export async function benchCreate(options: {
  readonly rounds: number
  readonly imageMib: number
  readonly note: (text: string) => void
}): Promise<CreateReport> {
  const { rounds, imageMib, note } = options
  const folder = mkdtempSync(join(tmpdir(), 'stead-bench-'))
  const lab = await BenchLab.up()
  try {
    const file = join(folder, 'image.raw')
    writeImage(file, imageMib)
    await lab.cluster.must('image', 'import', 'image', file)
    const measure = async (linked: boolean, count: number) => {
      const times: number[] = []
      for (let round = 0; round < count; round++) {
        const name = `${linked ? 'linked' : 'full'}${round}`
        times.push(await create(lab, name, imageMib, linked))
        note(`${name}: ${times.at(-1)?.toFixed(0)} ms`)
        await lab.cluster.must('vm', 'delete', name)
      }
      return times
    }
    // The first one may wait until the hosts have the image.
    await measure(true, 1)
    const linkedMs = await measure(true, rounds)
    const fullMs = await measure(false, Math.ceil(rounds / 3))
    return { imageBytes: imageMib * MIB, linkedMs, fullMs }
  } finally {
    rmSync(folder, { recursive: true, force: true })
    await lab.down()
  }
}

/** Random data behind a boot sector, so that nothing of it can be left out by a copy. */
function writeImage(path: string, mib: number): void {
  const file = openSync(path, 'w')
  writeSync(file, bootSector('idle'))
  for (let at = 0; at < mib; at++) writeSync(file, randomBytes(MIB), 0, at === 0 ? MIB - 512 : MIB)
  closeSync(file)
}

async function create(lab: BenchLab, name: string, imageMib: number, linked: boolean): Promise<number> {
  const client = lab.cluster.clientOf([HOST])
  const startedMs = monotonicMs()
  const answer = value(
    await client.call(ENDPOINTS['guest.create'], {
      body: {
        name,
        memoryBytes: 64 * MIB,
        disks: [{ sizeBytes: imageMib * MIB, replicas: 2, image: 'image', linked }],
        boot: { kind: 'disk' },
        host: HOST,
        start: true,
        nic: false,
      },
    }),
  )
  const params = { operation: answer.operation.id }
  for (;;) {
    const { state, message } = value(
      await client.call(ENDPOINTS['operation.show'], { params, query: { waitMs: 2000 } }),
    )
    if (state === 'succeeded') return monotonicMs() - startedMs
    if (state === 'failed') throw new Error(`${name} could not be created: ${message}`)
  }
}

function value<T>(result: Result<T>): T {
  if (result.ok) return result.value
  throw new Error(`${result.error.code}: ${result.error.message}`, { cause: result.error })
}
