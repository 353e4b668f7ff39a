/** What tests of faults look at besides the API: the events since a moment, the consoles that dead hosts leave, whole files. */
import assert from 'node:assert/strict'
import { createReadStream, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { EventKind } from '@stead/core/model/event.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import type { LabCluster } from './lab-cluster.ts'

/** The events that come after this watch was begun. */
export class EventWatch {
  readonly #lab: LabCluster
  readonly #known: ReadonlySet<string>

  private constructor(lab: LabCluster, known: ReadonlySet<string>) {
    this.#lab = lab
    this.#known = known
  }

  static async begin(lab: LabCluster): Promise<EventWatch> {
    return new EventWatch(lab, new Set((await lab.events()).map((event) => event.id)))
  }

  async all(): Promise<readonly ClusterEvent[]> {
    return (await this.#lab.events()).filter((event) => !this.#known.has(event.id))
  }

  /** Waits for an event of this kind whose details have these values, and returns the newest. */
  async until(kind: EventKind, details: Readonly<Record<string, unknown>> = {}): Promise<ClusterEvent> {
    let found: ClusterEvent | undefined
    await this.#lab.until(
      `${kind} is told with ${JSON.stringify(details)}`,
      async () => {
        const fits = (event: ClusterEvent) =>
          event.kind === kind && Object.entries(details).every(([key, value]) => event.details?.[key] === value)
        found = (await this.all()).findLast(fits)
        return found !== undefined
      },
      90_000,
    )
    assert(found)
    return found
  }

  async assertNone(...kinds: readonly EventKind[]): Promise<void> {
    const told = (await this.all()).filter((event) => kinds.includes(event.kind))
    assert.deepEqual(
      told.map((event) => event.message),
      [],
    )
  }
}

/** The console of the guest's last boot on a host, read past the agents: what a dead host has left counts too. */
export function consoleOn(lab: LabCluster, host: string, guestId: string): string {
  for (const folder of ['guests', 'containers']) {
    try {
      return readFileSync(join(lab.hostFolder(host), folder, guestId, 'console.log'), 'latin1')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return ''
}

/** The last record that a guest on this host was told is safe, dead or alive; 0 when none. */
export function acknowledgedOn(lab: LabCluster, host: string, guestId: string): number {
  const numbers = [...consoleOn(lab, host, guestId).matchAll(/^(?:ACK|RESUME) (\d+)\r?$/gm)].map((match) =>
    Number(match[1]),
  )
  return Math.max(0, ...numbers)
}

/** What the guest found on its disk when it booted: the record with which it went on. Waits until it has looked. */
export async function resumedAt(lab: LabCluster, name: string): Promise<number> {
  let found: RegExpExecArray | null = null
  await lab.until(
    `${name} has read its disk`,
    async () => (found = /^RESUME (\d+)\r?$/m.exec(await lab.console(name))) !== null,
    90_000,
  )
  return Number((found as RegExpExecArray | null)?.[1])
}

/** Sends a signal to a host's processes of one kind and returns their ids, by this machine's count. */
export async function signal(lab: LabCluster, host: string, kind: string, name = 'KILL'): Promise<readonly number[]> {
  return (await lab.json<{ pids: number[] }>('lab', 'kill', host, kind, '--signal', name)).pids
}

/** Waits until a host runs a process of this kind that is none of these, and returns its id. */
export async function replaced(lab: LabCluster, host: string, kind: string, old: readonly number[]): Promise<number> {
  let pid: number | undefined
  await lab.until(`${host} runs a new ${kind}`, async () => {
    // Going on is no news for a process that is not stopped.
    pid = (await signal(lab, host, kind, 'CONT')).find((each) => !old.includes(each))
    return pid !== undefined
  })
  return pid ?? 0
}

/** The one QEMU of a guest in the whole lab. */
export function qemuOf(lab: LabCluster, name: string): number {
  const found = lab.qemuProcesses(name)
  assert.equal(found.length, 1, `${name} has ${found.length} QEMU processes`)
  return found[0]?.pid ?? 0
}

/** Compares two replicas' files byte by byte. Their guest must not run. */
export async function assertSameFiles(
  lab: LabCluster,
  volume: string,
  hosts: readonly [string, string],
): Promise<void> {
  const [first, second] = hosts.map((host) =>
    createReadStream(join(lab.hostFolder(host), 'pools', 'default', `${volume}.raw`), { highWaterMark: 1 << 20 })[
      Symbol.asyncIterator
    ](),
  )
  for (let offset = 0; ;) {
    const [a, b] = await Promise.all([first?.next(), second?.next()])
    assert.equal(a?.done, b?.done, `the replicas on ${hosts.join(' and ')} differ in size`)
    if (a?.done !== false) return
    assert(
      Buffer.from(a.value as Buffer).equals(b?.value as Buffer),
      `the replicas on ${hosts.join(' and ')} differ in the MiB at ${offset}`,
    )
    offset += (a.value as Buffer).length
  }
}
