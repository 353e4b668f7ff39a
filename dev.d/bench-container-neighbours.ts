/**
 * How fast a container is while another one on its host misbehaves. Calm and harm take turns. What it does by itself is timed
 * from outside, with what asking for it costs; what a client does with it, by that client.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ContainerCalls } from './bench-container-calls.ts'
import { timed } from './bench-container-calls.ts'
import { spread, type BenchLab } from './bench-lab.ts'

/** `transfer`: bytes that a client sends to it. `answers`: lines that a client sends and waits to have back. */
export const WORKS = ['processor', 'disk', 'transfer', 'answers'] as const

/** Its speed beside the harm as a part of that without, medians. */
export type NeighbourRow = { readonly harm: string } & Readonly<Record<(typeof WORKS)[number], number>>

const HOG = 'hog'
const WEB = 'neighbour'
const WEB_ADDRESS = '10.66.230.1'
const HOG_ADDRESS = '10.66.230.2'
const HARM_BEGINS_MS = 1_000
const PORT = 5001
const TRANSFER_BYTES = 2_000_000_000
const LINES = 20_000

/** Run until they are told to end. The flooder sends a datagram for each line. */
const HARMS: readonly { readonly name: string; readonly script: string }[] = [
  { name: 'fork bomb', script: 'while :; do b() { b | b & }; b; sleep 1; done' },
  { name: 'memory hog', script: 'while :; do tail -c 500m /dev/zero > /dev/null; done' },
  { name: 'disk filler', script: 'while :; do dd if=/dev/zero of=/fill bs=64k; sync; rm /fill; done' },
  {
    name: 'packet flooder',
    script: `syslogd -n -R ${WEB_ADDRESS}:514 & while :; do yes ${'x'.repeat(900)} | logger; done`,
  },
]

export async function benchNeighbours(
  { lab, calls }: { lab: BenchLab; calls: ContainerCalls },
  { rounds, note }: { readonly rounds: number; readonly note: (text: string) => void },
): Promise<readonly NeighbourRow[]> {
  await calls.createAndStart(WEB, { replicas: 2, address: `${WEB_ADDRESS}/16` })
  const limits = { numproc: { limit: 50 }, iolimit: { limit: 4 << 20 }, netrate: { limit: 8_000 } }
  await calls.createAndStart(HOG, { replicas: 2, address: `${HOG_ADDRESS}/16`, limits })
  await lab.cluster.untilProtected(WEB)
  // A work that ended with an error would have been a fast one.
  const exec = (script: string) =>
    timed(async () => {
      const said = await calls.output(WEB, ['sh', '-c', `${script} && echo done`])
      if (said !== 'done\n') throw new Error(`it failed: ${script}`)
    })
  /** In ms. `serve` runs in the container, for one connection; `use` in the client, which has it as descriptor 3. */
  const byClient = async (serve: string, use: string) => {
    await calls.output(WEB, ['sh', '-c', `(${serve}) > /dev/null 2>&1 & usleep 100000`])
    const timing = `exec 3<> /dev/tcp/${WEB_ADDRESS}/${PORT}; began=$(date +%s%N); ${use}; echo $(($(date +%s%N) - began))`
    return Number(await lab.cluster.must('lab', 'client', '--', 'bash', '-ec', timing)) / 1e6
  }
  const works: Readonly<Record<(typeof WORKS)[number], () => Promise<number>>> = {
    processor: () => exec('i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); done'),
    disk: () => exec('dd if=/dev/zero of=/work bs=4k count=2000 oflag=direct conv=fsync 2>/dev/null'),
    transfer: () => byClient(`nc -l -p ${PORT}`, `head -c ${TRANSFER_BYTES} /dev/zero >&3`),
    answers: () =>
      byClient(`nc -l -p ${PORT} -e cat`, `for ((i = 0; i < ${LINES}; i++)); do echo $i >&3; read -r line <&3; done`),
  }
  for (const work of Object.values(works)) await work()
  const rows: NeighbourRow[] = []
  for (const { name, script } of HARMS) {
    const parts = { processor: 0, disk: 0, transfer: 0, answers: 0 }
    for (const kind of WORKS) {
      const calm: number[] = []
      const harmed: number[] = []
      for (let round = 0; round < rounds; round++) {
        calm.push(await works[kind]())
        const end = await harm(calls, script)
        try {
          harmed.push(await works[kind]())
        } finally {
          await end()
        }
      }
      parts[kind] = spread(calm).median / spread(harmed).median
    }
    note(`${name}: ${WORKS.map((kind) => `${kind} ${parts[kind].toFixed(2)}`).join(', ')}`)
    rows.push({ harm: name, ...parts })
  }
  for (const guest of [WEB, HOG]) await calls.remove(guest)
  return rows
}

/** Begins it; the answer ends it. What a fork bomb leaves can only be ended from outside: by ending the container. */
async function harm(calls: ContainerCalls, script: string): Promise<() => Promise<void>> {
  await calls.output(HOG, ['sh', '-c', `(${script}) > /dev/null 2>&1 & echo begun`])
  await sleep(HARM_BEGINS_MS)
  return async () => void (await calls.restart(HOG))
}
