/** What the loss of a replica costs a running guest, and what bringing it back costs. */
import { setTimeout as sleep } from 'node:timers/promises'
import { BenchLab, spread, type Spread } from './bench-lab.ts'

const GUEST = 'bench'
const RECORD_BYTES = 4_096

export interface ReplicaFault {
  readonly fault: 'daemon killed' | 'daemon frozen' | 'storage cable cut'
  /** Fault to the recorded loss with the guest going on, ms. */
  readonly noticedMs: Spread
  /** How long the guest stood still from the moment its agent knew, ms. */
  readonly pauseMs: Spread
}

export interface ResyncCost {
  readonly changedBytes: number
  readonly copiedBytes: number
  readonly ratio: number
  readonly lastPauseMs: number
  readonly passes: number
}

export interface ReplicaReport {
  readonly faults: readonly ReplicaFault[]
  readonly resyncs: readonly ResyncCost[]
}

/** `noticedMs`: of a frozen peer or a cut cable. */
export const REPLICA_TARGET = { pauseMs: 50, noticedMs: 1_500, copiedRatio: 1.2, lastPauseMs: 50 }

export async function benchReplica(options: {
  readonly rounds: number
  readonly outageSeconds: number
  readonly note: (text: string) => void
}): Promise<ReplicaReport> {
  const lab = await BenchLab.up()
  try {
    const { cluster } = lab
    // As fast as the disk takes them: some thousand records change during an outage.
    await cluster.createRecorder(GUEST, { host: 'h1', intervalMs: 1 })
    await cluster.recordsPast(GUEST, 50)
    const guest = await cluster.guest(GUEST)
    const remote = guest.volumes[0]?.replicas.find((replica) => replica.host !== 'h1')?.host
    if (remote === undefined) throw new Error(`${GUEST} has no second replica`)
    const faults: ReplicaFault[] = []
    for (const [fault, harm, mend] of [
      ['daemon killed', () => lab.harmStorage(remote, 'SIGKILL'), async () => {}],
      ['daemon frozen', () => lab.harmStorage(remote, 'SIGSTOP'), async () => {}],
      ['storage cable cut', () => lab.cutStorage(remote), () => cluster.must('lab', 'mend', remote, 'san')],
    ] as const) {
      const noticed: number[] = []
      const pauses: number[] = []
      for (let round = 0; round < options.rounds; round++) {
        await cluster.untilProtected(GUEST)
        await sleep(1_000)
        const harmedMs = await harm()
        const stale = await lab.eventAfter(harmedMs, 'replica.stale', remote)
        noticed.push(stale.monotonicMs - harmedMs)
        pauses.push(Number(stale.details?.['pauseMs']))
        options.note(
          `replica, ${fault}: noticed after ${noticed.at(-1)?.toFixed(0)} ms, pause ${pauses.at(-1)?.toFixed(1)} ms`,
        )
        await mend()
      }
      faults.push({ fault, noticedMs: spread(noticed), pauseMs: spread(pauses) })
    }
    const resyncs: ResyncCost[] = []
    for (let round = 0; round < options.rounds; round++) {
      await cluster.untilProtected(GUEST)
      resyncs.push(await oneResync(lab, guest.id, remote, options.outageSeconds))
      const { ratio, lastPauseMs, copiedBytes } = resyncs.at(-1) as ResyncCost
      options.note(
        `resync: ${(copiedBytes / 2 ** 20).toFixed(1)} MiB copied, ${ratio.toFixed(2)} times what changed, last pause ${lastPauseMs.toFixed(1)} ms`,
      )
    }
    return { faults, resyncs }
  } finally {
    await lab.down()
  }
}

/** The records are written one after the other, so their numbers say exactly how much changed. */
async function oneResync(lab: BenchLab, guestId: string, remote: string, outageSeconds: number): Promise<ResyncCost> {
  const { cluster } = lab
  const before = lab.acknowledged('h1', guestId)
  const cutMs = await lab.cutStorage(remote)
  const { monotonicMs: staleMs } = await lab.eventAfter(cutMs, 'replica.stale', remote)
  await sleep(outageSeconds * 1_000)
  await cluster.must('lab', 'mend', remote, 'san')
  const finished = await lab.eventAfter(staleMs, 'resync.finished', remote)
  const changedBytes = (lab.acknowledged('h1', guestId) - before) * RECORD_BYTES
  const copiedBytes = Number(finished.details?.['copiedBytes'])
  return {
    changedBytes,
    copiedBytes,
    ratio: copiedBytes / changedBytes,
    lastPauseMs: Number(finished.details?.['pauseMs']),
    passes: Number(finished.details?.['passes']),
  }
}
