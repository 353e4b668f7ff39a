/**
 * From the pulled plug to the guest's new life. Each round pulls the plug of the host that runs the guest; in every
 * second round that host's etcd member is made the store's leader first, and its agent coordinates whenever its turn
 * has come. All events of a lab carry the machine's monotonic clock, so the phases come from them.
 */
import { readFileSync } from 'node:fs'
import { BenchLab, monotonicMs, spread, type Spread } from './bench-lab.ts'

const GUEST = 'bench'
/** In the order in which they happen; `process` is the new QEMU's own start time. */
export const PHASES = ['suspected', 'lost', 'granted', 'revoked', 'process', 'started', 'firstRecord'] as const
export type Phase = (typeof PHASES)[number]

export interface FailoverRound {
  readonly host: string
  readonly wasCoordinator: boolean
  readonly wasStoreLeader: boolean
  /** Ms after the plug was pulled. */
  readonly afterMs: Readonly<Record<Phase, number>>
}

export interface FailoverReport {
  readonly rounds: readonly FailoverRound[]
  readonly coordinatorRounds: number
  readonly leaderRounds: number
  readonly phases: Readonly<Record<Phase, Spread>>
  readonly labUpMs: number
}

/** Plug pulled to new QEMU process, ms. */
export const FAILOVER_TARGET = { medianMs: 2_000, maxMs: 4_000 }

export async function benchFailover(options: {
  readonly rounds: number
  readonly note: (text: string) => void
}): Promise<FailoverReport> {
  const lab = await BenchLab.up()
  try {
    const { cluster } = lab
    await cluster.createRecorder(GUEST, { host: 'h1' })
    await cluster.recordsPast(GUEST, 5)
    const rounds: FailoverRound[] = []
    for (let round = 0; round < options.rounds; round++) {
      await cluster.untilProtected(GUEST)
      await cluster.until('all hosts are online', async () =>
        (await cluster.hosts()).every((host) => host.state === 'online'),
      )
      const measured = await oneRound(lab, round % 2 === 0)
      rounds.push(measured)
      const roles = `${measured.wasCoordinator ? ', coordinator' : ''}${measured.wasStoreLeader ? ', store leader' : ''}`
      options.note(
        `failover ${round + 1}/${options.rounds}: ${measured.host}${roles}: ${PHASES.map((phase) => `${phase} ${measured.afterMs[phase].toFixed(0)}`).join(', ')} ms`,
      )
      await cluster.must('lab', 'power-on', measured.host)
    }
    return {
      rounds,
      coordinatorRounds: rounds.filter((round) => round.wasCoordinator).length,
      leaderRounds: rounds.filter((round) => round.wasStoreLeader).length,
      phases: Object.fromEntries(
        PHASES.map((phase) => [phase, spread(rounds.map((round) => round.afterMs[phase]))]),
      ) as Record<Phase, Spread>,
      labUpMs: lab.upMs,
    }
  } finally {
    await lab.down()
  }
}

async function oneRound(lab: BenchLab, wantLeader: boolean): Promise<FailoverRound> {
  const { cluster } = lab
  const guest = await cluster.guest(GUEST)
  const host = guest.host
  if (!host) throw new Error(`${GUEST} runs nowhere`)
  const other = lab.hosts.find((candidate) => candidate !== host) ?? host
  await lab.moveLeader(wantLeader ? host : other)
  const wasStoreLeader = (await lab.storeLeader()) === host
  const wasCoordinator = (await lab.coordinator()) === host
  // The commands above have loaded the machine; what is measured begins in quiet.
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  const pulledMs = await lab.pullPlug(host)
  const started = await lab.eventAfter(pulledMs, 'guest.started')
  const target = String(started.details?.['host'])
  const [qemu] = cluster.qemuProcesses(GUEST)
  const processMs = qemu ? startedAtMs(qemu.pid) : Number.NaN
  const firstRecordMs = await lab.until('the guest writes again', () =>
    lab.acknowledged(target, guest.id) > 0 && /^ACK /m.test(lab.console(target, guest.id)) ? monotonicMs() : undefined,
  )
  const events = (await lab.events()).filter(
    (event) => event.monotonicMs > pulledMs && event.monotonicMs <= started.monotonicMs,
  )
  const at = (kind: string) => (events.find((event) => event.kind === kind)?.monotonicMs ?? Number.NaN) - pulledMs
  return {
    host,
    wasCoordinator,
    wasStoreLeader,
    afterMs: {
      suspected: at('host.suspected'),
      lost: at('host.lost'),
      granted: at('grant.committed'),
      revoked: at('export.revoked'),
      process: processMs - pulledMs,
      started: started.monotonicMs - pulledMs,
      firstRecord: firstRecordMs - pulledMs,
    },
  }
}

/** When a process was started, by the monotonic clock. The kernel tells it in ticks of 10 ms, cut off. */
function startedAtMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  // That clock also counts sleep, the monotonic one does not.
  const bootMs = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000
  return ticks * 10 - (bootMs - monotonicMs())
}
