/** What a snapshot costs a guest that writes all the time: how long it stands still, and how fast it writes afterwards. */
import { setTimeout as sleep } from 'node:timers/promises'
import { BenchLab, spread, type Spread } from './bench-lab.ts'

const GUEST = 'bench'
const RATE_MS = 3_000

export interface SnapshotReport {
  readonly snapshots: number
  /** The guest stood still, ms. */
  readonly pauseMs: Spread
  /** Synced records of 4 KiB a second, one after the other: without a snapshot, and with all of them. */
  readonly rateBefore: number
  readonly rateAfter: number
}

export const SNAPSHOT_TARGET = { pauseMs: 50 }

export async function benchSnapshot(options: {
  readonly rounds: number
  readonly note: (text: string) => void
}): Promise<SnapshotReport> {
  const lab = await BenchLab.up()
  try {
    const { cluster } = lab
    await cluster.createRecorder(GUEST, { host: 'h1', intervalMs: 1 })
    await cluster.recordsPast(GUEST, 50)
    await cluster.untilProtected(GUEST)
    const { id } = await cluster.guest(GUEST)
    const rate = async () => {
      const before = lab.acknowledged('h1', id)
      await sleep(RATE_MS)
      return ((lab.acknowledged('h1', id) - before) * 1_000) / RATE_MS
    }
    const rateBefore = await rate()
    const pauses: number[] = []
    for (let round = 1; round <= options.rounds; round++) {
      await cluster.must('vm', 'snapshot', 'create', GUEST, `s${round}`)
      const told = (await cluster.events()).findLast((event) => event.kind === 'snapshot.created')
      pauses.push(Number(told?.details?.['pauseMs']))
      options.note(`snapshot ${round}: the guest stood still for ${pauses.at(-1)?.toFixed(1)} ms`)
    }
    return { snapshots: options.rounds, pauseMs: spread(pauses), rateBefore, rateAfter: await rate() }
  } finally {
    await lab.down()
  }
}

export function snapshotSection({ snapshots, pauseMs, rateBefore, rateAfter }: SnapshotReport): string {
  const met = pauseMs.median <= SNAPSHOT_TARGET.pauseMs
  const cells = [pauseMs.min, pauseMs.median, pauseMs.max].map((ms) => ms.toFixed(1)).join(' | ')
  return [
    '## Snapshots',
    '',
    'A guest with a mirrored disk on ext4 writes synced records of 4 KiB as fast as it can; snapshots of both replicas are taken one after the other.',
    '',
    '| snapshots | guest stood still: min | median | max (ms) | records a second without a snapshot | with all of them |',
    '|---|---|---|---|---|---|',
    `| ${snapshots} | ${cells} | ${rateBefore.toFixed(0)} | ${rateAfter.toFixed(0)} |`,
    '',
    `- Target, median: at most ${SNAPSHOT_TARGET.pauseMs} ms; measured ${pauseMs.median.toFixed(1)} ms: ${met ? 'met' : '**missed**'}.`,
  ].join('\n')
}
