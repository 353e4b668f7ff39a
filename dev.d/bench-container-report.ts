/** The section of docs/benchmarks.md about containers. */
import { WORKS } from './bench-container-neighbours.ts'
import type { ContainerReport } from './bench-container.ts'
import type { Spread } from './bench-lab.ts'

export const CONTAINER_TARGET = {
  createPlainMs: 200,
  createMirroredMs: 600,
  execMs: 60,
  moveMs: 1_500,
  listMs: 50,
  agentBytesEach: 100_000,
  samplingPercent: 2,
  diskRatio: 0.5,
  neighbourRatio: 0.8,
}

export function containerSection({ loadBefore, lifecycle, crowd, disk, neighbours }: ContainerReport): string {
  const { createMs, execMs, stopMs, moveMs } = lifecycle
  const worst = Math.min(...neighbours.flatMap((row) => WORKS.map((work) => row[work])))
  const slowest = Math.min(...disk.map(({ plain, mirrored }) => mirrored / plain))
  const sampling = Math.max(0, crowd.crowdPercent - crowd.idlePercent)
  return [
    '## Containers',
    '',
    'The same BusyBox root, 64 MiB of memory, 50 processes and one network card each, asked for over each API’s unix socket and timed until init runs, in turns, so that whatever else the machine did met all alike. Incus is 6.0 of Debian’s backports in namespaces of its own, one server, its pool a folder, which has neither a size limit for a root nor a copy elsewhere. Stead’s runs in a lab of three hosts, each root an ext4 of its own on one replica or on a mirror.',
    '',
    ...(loadBefore < 1
      ? []
      : [
          `**The machine was busy**: its load average was ${loadBefore.toFixed(1)} before anything was begun, so times are long and no target that is a time was tried fairly; what is in one row can be compared.`,
          '',
        ]),
    '| min / median / max (ms) | Stead, native root on btrfs | Stead | Stead, mirrored | Incus |',
    '|---|---|---|---|---|',
    `| create and start | ${cells(createMs.native)} | ${cells(createMs.plain)} | ${cells(createMs.mirrored)} | ${cells(createMs.incus)} |`,
    `| exec \`true\` | - | - | ${cells(execMs.stead)} | ${cells(execMs.incus)} |`,
    `| stop (BusyBox’s init halts) | - | ${cells(stopMs.stead)} | - | ${cells(stopMs.incus)} |`,
    `| move to another host by a restart | - | - | ${cells(moveMs)} | - |`,
    '',
    verdict('create and start without a mirror, median', createMs.plain.median, CONTAINER_TARGET.createPlainMs, 'ms'),
    verdict('the same with a mirror', createMs.mirrored.median, CONTAINER_TARGET.createMirroredMs, 'ms'),
    verdict('exec, median', execMs.stead.median, CONTAINER_TARGET.execMs, 'ms'),
    verdict('move by a restart, whole operation, median', moveMs.median, CONTAINER_TARGET.moveMs, 'ms'),
    '',
    `${crowd.containers} containers on one host (the agent’s memory as the growth of its resident set; its processor time while nobody asks it anything, counters looked at every 10 s):`,
    '',
    '| | Stead | Incus |',
    '|---|---|---|',
    `| list with states (ms) | ${cells(crowd.listMs)} | ${cells(crowd.incusListMs)} |`,
    `| what each uses (ms) | ${cells(crowd.usesMs)} | in the list |`,
    `| memory of the agent for each (KiB) | ${kib(crowd.agentBytesEach)} | ${kib(crowd.incusBytesEach)} |`,
    `| processor of the agent: without, with them (% of a core) | ${crowd.idlePercent.toFixed(2)}, ${crowd.crowdPercent.toFixed(2)} | - |`,
    '',
    verdict(
      'list with states and counters, median',
      crowd.listMs.median + crowd.usesMs.median,
      CONTAINER_TARGET.listMs,
      'ms',
    ),
    verdict('agent’s memory for each', crowd.agentBytesEach / 1000, CONTAINER_TARGET.agentBytesEach / 1000, 'KB'),
    verdict('sampling, all that they add', sampling, CONTAINER_TARGET.samplingPercent, '%', 2),
    '',
    'A root on its mirror (both storage hosts on this machine) against ext4 on a plain loop device with direct I/O in the same folder, `qemu-img bench` past the page cache, in turns, medians; processor time of one request in each process of the chain:',
    '',
    '| load | plain loop (/s) | mirrored root (/s) | ratio | stead-disk | front | both storage daemons (µs) |',
    '|---|---|---|---|---|---|---|',
    ...disk.map(
      ({ load, plain, mirrored, micros }) =>
        `| ${load} | ${plain.toFixed(0)} | ${mirrored.toFixed(0)} | ${(mirrored / plain).toFixed(2)} | ${micros.steadDisk.toFixed(0)} | ${micros.front.toFixed(0)} | ${micros.storage.toFixed(0)} |`,
    ),
    '',
    atLeast('root on the mirror to plain loop, least ratio', slowest, CONTAINER_TARGET.diskRatio),
    '',
    'Speed of a container beside one on its host that misbehaves (50 processes, 64 MiB, one processor, `iolimit=4M`, `netrate=8M`), as a part of its speed without; works: a loop in a shell, direct writes of 4 KiB one after the other, 2 GB sent to it by a client over TCP, 20,000 lines that a client has sent back by a program in it, one after the other:',
    '',
    `| beside a | ${WORKS.join(' | ')} |`,
    `|---|${'---|'.repeat(WORKS.length)}`,
    ...neighbours.map((row) => `| ${row.harm} | ${WORKS.map((work) => row[work].toFixed(2)).join(' | ')} |`),
    '',
    atLeast('speed beside a misbehaving neighbour, least', worst, CONTAINER_TARGET.neighbourRatio),
  ].join('\n')
}

function cells(spread: Spread | undefined): string {
  if (spread === undefined) return 'not installed'
  return [spread.min, spread.median, spread.max].map((ms) => ms.toFixed(0)).join(' / ')
}

function kib(bytes: number | undefined): string {
  return bytes === undefined ? 'not installed' : (bytes / 1024).toFixed(0)
}

function verdict(what: string, value: number, target: number, unit: string, digits = 0): string {
  return `- Target, ${what}: at most ${target} ${unit}; measured ${value.toFixed(digits)} ${unit}: ${value <= target ? 'met' : '**missed**'}.`
}

function atLeast(what: string, value: number, target: number): string {
  return `- Target, ${what}: at least ${target}; measured ${value.toFixed(2)}: ${value >= target ? 'met' : '**missed**'}.`
}
