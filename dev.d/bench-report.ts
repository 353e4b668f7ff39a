/** The sections of docs/benchmarks.md: what was measured, how, against which target. */
import { LINKED_TARGET_MS, type CreateReport } from './bench-create.ts'
import { FAILOVER_TARGET, PHASES, type FailoverReport, type Phase } from './bench-failover.ts'
import { FOOTPRINT_TARGET, type FootprintReport } from './bench-footprint.ts'
import { sum, type Spread } from './bench-lab.ts'
import { markdownOf, type BenchTable } from './bench-mirror.ts'
import { REPLICA_TARGET, type ReplicaReport } from './bench-replica.ts'
import { TOUR_TARGET_MS, type TimesReport } from './bench-times.ts'

const PHASE_NAMES: Record<Phase, string> = {
  suspected: 'first host suspects it (`host.suspected`)',
  lost: 'a majority agrees, recorded (`host.lost`)',
  granted: 'another host is granted the guest (`grant.committed`)',
  revoked: 'the old exports are gone (`export.revoked`)',
  process: 'the new QEMU process exists (its start time)',
  started: 'QEMU runs the guest (`guest.started`)',
  firstRecord: 'the guest has booted and written its next record',
}

export function failoverSection(report: FailoverReport): string {
  const { started } = report.phases
  return [
    '## Failover',
    '',
    `${report.rounds.length} power cuts of the host that runs the guest, in a lab of three; ${report.coordinatorRounds} of them hit the coordinator, ${report.leaderRounds} the leader of etcd. Time runs from just before the links go down, in ms. The guest is emulated, so its boot to the next record depends on the processor, not on Stead.`,
    '',
    '| until | min | median | max |',
    '|---|---|---|---|',
    ...PHASES.map((phase) => `| ${PHASE_NAMES[phase]} | ${cells(report.phases[phase], 0)} |`),
    '',
    ...['coordinator', 'store leader', 'neither'].flatMap((role) => {
      const chosen = report.rounds.filter((round) =>
        role === 'neither'
          ? !round.wasCoordinator && !round.wasStoreLeader
          : role === 'coordinator'
            ? round.wasCoordinator
            : round.wasStoreLeader,
      )
      if (chosen.length === 0) return []
      const values = chosen.map((round) => round.afterMs.started).toSorted((a, b) => a - b)
      return [
        `- ${role === 'neither' ? 'the host had neither role' : `the host was the ${role}`}: ${values.length} rounds, median ${values[Math.floor(values.length / 2)]?.toFixed(0)} ms, worst ${values.at(-1)?.toFixed(0)} ms`,
      ]
    }),
    '',
    verdict('plug pulled to the new QEMU running, median', started.median, FAILOVER_TARGET.medianMs, 'ms'),
    verdict('the same, worst', started.max, FAILOVER_TARGET.maxMs, 'ms'),
  ].join('\n')
}

export function replicaSection({ faults, resyncs }: ReplicaReport): string {
  const worstPause = Math.max(...faults.map((one) => one.pauseMs.max))
  const worstNotice = Math.max(...faults.filter((one) => one.fault !== 'daemon killed').map((one) => one.noticedMs.max))
  return [
    '## Loss and return of a replica',
    '',
    'A guest that writes synced records as fast as it can; its remote replica is harmed. "Noticed" runs from the fault to the moment when the loss is recorded and the guest goes on; "pause" is how long the guest stood still once its agent knew.',
    '',
    '| fault | noticed: min | median | max (ms) | pause: min | median | max (ms) |',
    '|---|---|---|---|---|---|---|',
    ...faults.map((one) => `| ${one.fault} | ${cells(one.noticedMs, 0)} | ${cells(one.pauseMs, 1)} |`),
    '',
    verdict('pause beyond detection, worst', worstPause, REPLICA_TARGET.pauseMs, 'ms', 1),
    verdict('frozen peer or cut cable noticed, worst', worstNotice, REPLICA_TARGET.noticedMs, 'ms'),
    '',
    'Resync after an outage during which the guest wrote on (sequential records; changes are tracked in blocks of 64 KiB, so scattered small writes cost up to 16 times their size):',
    '',
    '| changed (MiB) | copied (MiB) | ratio | passes | last pause (ms) |',
    '|---|---|---|---|---|',
    ...resyncs.map(
      (one) =>
        `| ${mib(one.changedBytes)} | ${mib(one.copiedBytes)} | ${one.ratio.toFixed(2)} | ${one.passes} | ${one.lastPauseMs.toFixed(1)} |`,
    ),
    '',
    verdict(
      'copied to changed, worst',
      Math.max(...resyncs.map((one) => one.ratio)),
      REPLICA_TARGET.copiedRatio,
      'times',
      2,
    ),
    verdict(
      'last pause, worst',
      Math.max(...resyncs.map((one) => one.lastPauseMs)),
      REPLICA_TARGET.lastPauseMs,
      'ms',
      1,
    ),
  ].join('\n')
}

export function mirrorSection(table: BenchTable): string {
  return [
    '## Mirrored volume against one leg',
    '',
    'Each writer holds the block graph of a guest; "local" is the storage daemon of the same host, "remote" one behind a veth pair. The variants take turns. Targets for 4 KiB writes: depth 1 at least 0.85, depth 32 and sequential at least 0.6, processor time per write at most 2.2 times.',
    '',
    markdownOf(table),
  ].join('\n')
}

export function footprintSection(report: FootprintReport): string {
  const worst = (pick: (host: FootprintReport['hosts'][number]) => number) => Math.max(...report.hosts.map(pick))
  const kinds = report.hosts[0]?.daemons.map(({ kind }) => kind) ?? []
  return [
    '## Footprint',
    '',
    `${report.guests} small guests on three hosts, all idle; processor time over ${report.seconds} s. RSS sums count shared pages once a process (upper bound); PSS divides them, also among the lab's other hosts (lower bound); "alone" counts each file's pages once a host, as a host of its own would.`,
    '',
    '| host | RSS | alone | PSS (MiB) | processor (% of a core) |',
    '|---|---|---|---|---|',
    ...report.hosts.map(
      (host) =>
        `| ${host.host}: agent, guardian, deadman, etcd | ${host.rssMiB.toFixed(0)} | ${host.aloneMiB.toFixed(0)} | ${host.pssMiB.toFixed(0)} | ${host.cpuPercent.toFixed(2)} |`,
    ),
    '',
    '| daemon (mean of the hosts) | RSS | PSS (MiB) | processor (%) |',
    '|---|---|---|---|',
    ...kinds.map((kind) => {
      const all = report.hosts.flatMap((host) => host.daemons.filter((one) => one.kind === kind))
      const mean = (pick: (one: (typeof all)[number]) => number) => sum(all.map(pick)) / all.length
      return `| ${kind} | ${mean((one) => one.rssMiB).toFixed(0)} | ${mean((one) => one.pssMiB).toFixed(0)} | ${mean((one) => one.cpuPercent).toFixed(2)} |`
    }),
    '',
    verdict(
      'memory by RSS, fullest host',
      worst((host) => host.rssMiB),
      FOOTPRINT_TARGET.memoryMiB,
      'MiB',
    ),
    verdict(
      'processor when idle, busiest host',
      worst((host) => host.cpuPercent),
      FOOTPRINT_TARGET.cpuPercent,
      '%',
      2,
    ),
  ].join('\n')
}

export function timesSection(report: TimesReport): string {
  const seconds = (ms: number) => (ms / 1000).toFixed(1)
  return [
    '## Lab and tour',
    '',
    '| what | s |',
    '|---|---|',
    `| \`lab up\` until three hosts are online | ${seconds(report.labUpMs)} |`,
    `| the tour: create, boot, power cut, failover, power on, resync, check | ${seconds(report.tourMs)} |`,
    `| \`lab down\` | ${seconds(report.labDownMs)} |`,
    '',
    verdict(
      '`./dev lab` once installed, to the end of the tour',
      (report.labUpMs + report.tourMs) / 1000,
      TOUR_TARGET_MS / 1000,
      's',
      1,
    ),
  ].join('\n')
}

export function createSection({ imageBytes, linkedMs, fullMs }: CreateReport): string {
  const median = (times: readonly number[]) => times.toSorted((a, b) => a - b)[times.length >> 1] ?? Number.NaN
  const row = (what: string, times: readonly number[]) =>
    `| ${what} | ${median(times).toFixed(0)} | ${Math.max(...times).toFixed(0)} | ${times.length} |`
  return [
    '## Guests from an image',
    '',
    `From the request to the running QEMU (the guest's own boot left out), two replicas, an image with ${imageBytes / 2 ** 20} MiB of data that both hosts have:`,
    '',
    '| disk | median, ms | slowest, ms | times |',
    '|---|---|---|---|',
    row('linked', linkedMs),
    row('full copy', fullMs),
    '',
    verdict('create from an image to running, linked, median', median(linkedMs), LINKED_TARGET_MS, 'ms'),
  ].join('\n')
}

function verdict(what: string, measured: number, target: number, unit: string, digits = 0): string {
  const word = measured <= target ? 'met' : '**missed**'
  return `- Target, ${what}: at most ${target} ${unit}; measured ${measured.toFixed(digits)} ${unit}: ${word}.`
}

function cells(spread: Spread, digits: number): string {
  return [spread.min, spread.median, spread.max].map((value) => value.toFixed(digits)).join(' | ')
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1)
}
