/**
 * Live migration as those see it who talk to the guest: it sends a datagram every 10 ms to a listener on the lab's LAN, and
 * the longest silence around a move is the gap. A guest's own clock stands still with it and would show nothing.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { GUEST_APPEND, buildGuestImage } from '@stead/lab/guest-image.ts'
import { CLIENT_ADDRESS } from '@stead/lab/topology.ts'
import { BenchLab, monotonicMs, must, spread, type Spread } from './bench-lab.ts'
import { ROOT } from './run-program.ts'

const PORT = 7_300
const TICK_MS = 10
const MEMORY = '256MiB'
/** Of each of many: as little as the lab's guest boots with. */
const SMALL_MEMORY = '128MiB'
const SMALL_MEMORY_BYTES = 128 * 2 ** 20
/**
 * Memory that is changed in turn, always the same little of it. With 32 MiB a move does not end where the processors send
 * 20 MB/s: slowing the guest down does not help against a loop that changes a page with every few instructions.
 */
const DIRTY = { megabytesPerSecond: 150, megabytes: 2 } as const
/** After a move, until the network has told all it has to tell. */
const AFTERMATH_MS = 1_000
const QUIET_MS = 5_000
const WAIT = '85s'
const GUEST_IMAGE = join(ROOT, '.cache', 'guest')

export interface MigrationCase {
  readonly name: string
  readonly moves: number
  /** From the request to the end of the operation, ms. */
  readonly totalMs: Spread
  /** Longest silence of the ticker around each move, ms. */
  readonly gapMs: Spread
  /** QEMU's own figure. */
  readonly downtimeMs: Spread
}

export interface MigrationReport {
  readonly cases: readonly MigrationCase[]
  /** Longest silence while nothing moved, ms: what the noise of the machine alone does. */
  readonly quietGapMs: number
  /** Guests that left a drained host together, and how long that took. */
  readonly drain: { readonly guests: number; readonly totalMs: number; readonly gapMs: Spread }
}

/**
 * A lab's cables have no speed of their own, so a drain is held against what a gigabit a second would need for all of the
 * guests' memory, zeros included.
 */
const LINK_BYTES_PER_SECOND = 125_000_000
const MIGRATION_TARGET = { totalMs: 1_000, gapMs: 120, busyGapMs: 300, drainShare: 1.3 } as const

interface Options {
  readonly moves: number
  readonly together: number
  readonly note: (text: string) => void
}

export async function benchMigration({ moves, together, note }: Options): Promise<MigrationReport> {
  // The ticker is part of it, and it may have been built before.
  must(await buildGuestImage(ROOT))
  const lab = await BenchLab.up()
  const folder = mkdtempSync(join(tmpdir(), 'stead-ticks-'))
  const ticks = new Ticks(join(folder, 'ticks'))
  try {
    const { cluster } = lab
    const listener = join(ROOT, 'dev.d', 'tick-listener.ts')
    cluster.spawn(join(ROOT, 'bin', 'stead'), [
      'lab',
      'client',
      '--',
      process.execPath,
      listener,
      String(PORT),
      ticks.file,
    ])
    await create(lab, 'idle', 1, MEMORY, 0)
    await lab.until('the guest ticks', () => (ticks.since('10.66.1.1') ? true : undefined))
    const quietFromMs = monotonicMs()
    await sleep(QUIET_MS)
    const quietGapMs = ticks.longestGap('10.66.1.1', quietFromMs, monotonicMs())
    note(`migration: longest silence of a guest that stays: ${quietGapMs.toFixed(0)} ms`)
    const idle = { guest: 'idle', address: '10.66.1.1', note }
    const alone = await toAndFro(lab, ticks, { ...idle, name: 'idle', moves })
    await create(lab, 'busy', 2, MEMORY, DIRTY.megabytesPerSecond)
    await lab.until('the busy guest ticks', () => (ticks.since('10.66.1.2') ? true : undefined))
    const fewer = Math.ceil(moves / 2)
    const cases = [
      alone,
      await toAndFro(lab, ticks, {
        name: `${DIRTY.megabytesPerSecond} MB/s changed within ${DIRTY.megabytes} MiB`,
        ...{ guest: 'busy', address: '10.66.1.2', moves: fewer, note },
      }),
      await toAndFro(lab, ticks, { ...idle, name: 'idle, while that one takes a processor', moves: fewer }),
    ]
    for (const guest of ['idle', 'busy']) await cluster.must('vm', 'stop', guest, '--force', '--wait')
    const drain = await drainTogether(lab, ticks, together, note)
    return { cases, quietGapMs, drain }
  } finally {
    await lab.down()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function create(lab: BenchLab, name: string, number: number, memory: string, dirty: number): Promise<void> {
  const ticker = `recorder tick ${CLIENT_ADDRESS} ${PORT} ${TICK_MS}`
  const load = dirty > 0 ? `recorder dirty ${dirty} ${DIRTY.megabytes} &\n` : ''
  const script = Buffer.from(`${load}${ticker}\n`).toString('base64')
  await lab.cluster.must(
    ...['vm', 'create', name, '--memory', memory, '--cpus', '1', '--disk', '16MiB', '--replicas', '2', '--host', 'h1'],
    ...['--kernel', join(GUEST_IMAGE, 'kernel', 'vmlinuz'), '--initrd', join(GUEST_IMAGE, 'initrd.img')],
    ...['--append', `${GUEST_APPEND} stead.ip=10.66.1.${number}/16 stead.run=cmd:${script}`, '--start'],
  )
}

async function toAndFro(
  lab: BenchLab,
  ticks: Ticks,
  options: {
    readonly name: string
    readonly guest: string
    readonly address: string
    readonly moves: number
    readonly note: (text: string) => void
  },
): Promise<MigrationCase> {
  const { name, guest, address, moves, note } = options
  const totals: number[] = []
  const gaps: number[] = []
  const downtimes: number[] = []
  for (let move = 0; move < moves; move++) {
    const to = (await lab.cluster.guest(guest)).host === 'h1' ? 'h2' : 'h1'
    const beganMs = monotonicMs()
    await lab.cluster.must('vm', 'migrate', guest, '--to', to, '--timeout', WAIT)
    totals.push(monotonicMs() - beganMs)
    const { details } = await lab.eventAfter(beganMs, 'guest.migrated')
    downtimes.push(Number(details?.['downtimeMs']))
    await sleep(AFTERMATH_MS)
    gaps.push(ticks.longestGap(address, beganMs, monotonicMs()))
    note(
      `migration, ${name} ${move + 1}/${moves}: ${totals.at(-1)?.toFixed(0)} ms, silent for ${gaps.at(-1)?.toFixed(0)} ms, downtime ${downtimes.at(-1)} ms`,
    )
  }
  return { name, moves, totalMs: spread(totals), gapMs: spread(gaps), downtimeMs: spread(downtimes) }
}

async function drainTogether(
  lab: BenchLab,
  ticks: Ticks,
  guests: number,
  note: (text: string) => void,
): Promise<MigrationReport['drain']> {
  const numbers = Array.from({ length: guests }, (_, index) => 11 + index)
  for (const number of numbers) await create(lab, `many${number}`, number, SMALL_MEMORY, 0)
  await lab.until('all guests tick', () => (numbers.every((one) => ticks.since(`10.66.1.${one}`)) ? true : undefined))
  const { cluster } = lab
  await cluster.until('all can move', async () => (await cluster.hosts()).every((host) => host.state === 'online'))
  const beganMs = monotonicMs()
  await cluster.must('host', 'drain', 'h1', '--timeout', WAIT)
  const totalMs = monotonicMs() - beganMs
  await sleep(AFTERMATH_MS)
  const gapMs = spread(numbers.map((one) => ticks.longestGap(`10.66.1.${one}`, beganMs, monotonicMs())))
  note(`migration, ${guests} guests drained: ${totalMs.toFixed(0)} ms, silent for ${gapMs.median.toFixed(0)} ms`)
  return { guests, totalMs, gapMs }
}

/** What `tick-listener.ts` has noted. */
class Ticks {
  readonly file: string

  constructor(file: string) {
    this.file = file
  }

  /** When the first datagram of the guest came, ms; undefined before. */
  since(address: string): number | undefined {
    return this.#timesOf(address)[0]
  }

  /** Between two datagrams that came in that time, or between the last one and its end, ms. */
  longestGap(address: string, fromMs: number, toMs: number): number {
    const times = [fromMs, ...this.#timesOf(address).filter((ms) => ms > fromMs && ms < toMs), toMs]
    return Math.max(...times.slice(1).map((ms, index) => ms - (times[index] ?? ms)))
  }

  #timesOf(address: string): readonly number[] {
    let text = ''
    try {
      text = readFileSync(this.file, 'utf8')
    } catch (error) {
      // The listener has not started yet.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    return text
      .split('\n')
      .filter((line) => line.startsWith(`${address} `))
      .map((line) => Number(line.split(' ')[2]))
      .filter((ms) => !Number.isNaN(ms))
  }
}

function rounded(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms)
}

export function migrationSection({ cases, quietGapMs, drain }: MigrationReport): string {
  const cells = ({ min, median, max }: Spread) => [min, median, max].map((ms) => ms.toFixed(0)).join(' | ')
  const target = (what: string, found: number | undefined, most: number, unit: string) =>
    `- ${what}: at most ${most} ${unit}; measured ${found} ${unit}: ${found !== undefined && found <= most ? 'met' : '**missed**'}.`
  const [idle, busy] = cases
  const lineMs = ((drain.guests * SMALL_MEMORY_BYTES) / LINK_BYTES_PER_SECOND) * 1_000
  const seconds = (ms: number) => Math.round(ms / 100) / 10
  return [
    '## Live migration',
    '',
    `A guest of ${MEMORY} moves to and fro between two hosts of a lab of three while it sends a datagram every ${TICK_MS} ms to the lab's LAN; "silent" is the longest time without one around a move. Without a move it was ${quietGapMs.toFixed(0)} ms. "Total" runs from the command to its end, preparation and TLS included. All in ms.`,
    '',
    '| guest | moves | total: min | median | max | silent: min | median | max | stood still by QEMU: min | median | max |',
    '|---|---|---|---|---|---|---|---|---|---|---|',
    ...cases.map(
      (one) =>
        `| ${one.name} | ${one.moves} | ${cells(one.totalMs)} | ${cells(one.gapMs)} | ${cells(one.downtimeMs)} |`,
    ),
    '',
    target('Target, idle guest, total, median', rounded(idle?.totalMs.median), MIGRATION_TARGET.totalMs, 'ms'),
    target('Target, idle guest, silent, median', rounded(idle?.gapMs.median), MIGRATION_TARGET.gapMs, 'ms'),
    target('Target, guest that writes, silent, median', rounded(busy?.gapMs.median), MIGRATION_TARGET.busyGapMs, 'ms'),
    target(
      `Target, ${drain.guests} guests of ${SMALL_MEMORY} that leave a drained host, ${MIGRATION_TARGET.drainShare} times their memory over a gigabit a second`,
      seconds(drain.totalMs),
      seconds(MIGRATION_TARGET.drainShare * lineMs),
      's',
    ),
    `- These were silent for ${cells(drain.gapMs)} ms (min, median, max).`,
  ].join('\n')
}
