/**
 * The tour: a guest with a mirrored disk moves live under a client's session, then the plug of its host is pulled, the timeline as it happens, the resync, and
 * the proof that nothing acknowledged was lost. Everything is real; what it prints it has measured.
 */
import { execFile, spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView } from '@stead/api/views.ts'
import { sendBlob } from '@stead/cli/blob-upload.ts'
import { FailureError } from '@stead/core/errors.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import { GUEST_APPEND, type GuestImage } from './guest-image.ts'
import { findHost, type Lab } from './lab.ts'
import { enterClient } from './lab-client.ts'
import { powerOff, powerOn } from './lab-host.ts'
import { withLabLock } from './lab-lock.ts'
import type { TourContainer } from './tour-container.ts'
import { must, TourGuest } from './tour-guest.ts'
import { talkCommand, TalkSession, type TalkReport } from './talk-session.ts'
import { hostFolder } from './topology.ts'

export interface TourOptions {
  readonly lab: Lab
  /** A client that knows all hosts. */
  readonly client: Client
  readonly image: GuestImage
  /** A container beside the virtual machine; its `until` is `untilTold`. */
  readonly container?: TourContainer
  readonly nativeDir: string
  readonly say: (line: string) => void
}

const GUEST = 'demo'
const RECORD_INTERVAL_MS = 50
const WAIT_MS = 90_000
/** On the lab's LAN, away from its hosts. */
const ADDRESS = '10.66.200.1'
const GUEST_WORDS = `${GUEST_APPEND} stead.run=record:${RECORD_INTERVAL_MS},echo stead.ip=${ADDRESS}/16`
const MIB = 1 << 20
const TOLD = new Set([
  'host.suspected',
  'host.lost',
  'host.online',
  'coordinator.elected',
  'grant.committed',
  'export.revoked',
  'guest.started',
  'resync.started',
  'resync.finished',
  'replica.in-sync',
  'replica.stale',
])

export class Tour {
  readonly #options: TourOptions
  readonly #stop = new AbortController()
  readonly #events: ClusterEvent[] = []
  readonly #guest: TourGuest
  #plugPulledMs = 0

  constructor(options: TourOptions) {
    this.#options = options
    this.#guest = new TourGuest(GUEST, options.client, untilTold)
  }

  async run(): Promise<void> {
    const { say, container } = this.#options
    try {
      await this.#untilHostsAreOnline()
      say(`\n1. A guest named ${GUEST}, its disk mirrored between two hosts; it appends numbered, synced records.`)
      const guest = await this.#createGuest()
      const replicas = guest.volumes[0]?.replicas.map((replica) => replica.host) ?? []
      const first = await this.#guest.recordsPast(40)
      say(`   ${GUEST} runs on ${guest.host}; replicas on ${replicas.join(' and ')}; record ${first} is safe on both.`)

      say(`\n2. A client on the LAN talks to ${GUEST} over TCP, every 10 ms, while it moves live to another host.`)
      const move = await this.#moveLive()
      const host = (await this.#guest.view()).host ?? ''
      say(
        `   ${GUEST} runs on ${host}: ${move.sent} messages went there and ${move.echoed} came back in one session, the longest silence was ${Math.round(move.gapMs)} ms.`,
      )
      if (move.echoed !== move.sent) throw new Error('the session lost bytes')
      const before = await this.#guest.recordsPast(first + 1)
      await container?.runOn(host)
      const inContainer = (await container?.guest.recordsPast(40)) ?? 0
      if (container)
        say(
          `   The container ${container.guest.name} runs beside it, on a mirrored disk too; it is at record ${inContainer}.`,
        )

      say(`\n3. The plug of ${host} is pulled.`)
      void this.#followEvents()
      const resumed = await this.#pullPlug(host, before)
      const downMs = this.#sayTakeOver(GUEST, resumed)
      const containerDownMs = container && (await this.#containerBack(container, inContainer))

      say(`\n4. ${host} gets its power back; its replica missed what was written meanwhile.`)
      const resync = await this.#powerBack(host)
      await container?.guest.untilProtected()
      say(container ? '   All replicas are in sync again.' : '   Both replicas are in sync again.')

      say('\n5. Is every record that the guest was told is safe on both replicas?')
      const { last, missing } = await this.#verify()
      for (const [where, count] of missing) say(`   replica on ${where}: records 1 to ${last}, ${count} missing`)
      const ofContainer = (await container?.guest.recordsPast(0)) ?? 0
      if (container) {
        const count = await container.missing(ofContainer)
        say(`   in ${container.guest.name}: records 1 to ${ofContainer}, ${count} missing`)
        missing.set(container.guest.name, count)
      }
      if ([...missing.values()].some((count) => count > 0)) throw new Error('acknowledged records are missing')
      const ofBeside = container && { downMs: containerDownMs ?? Number.NaN, last: ofContainer }
      this.#sayFigures({ downMs, last, resync, move, ...(ofBeside ? { container: ofBeside } : {}) })
    } finally {
      this.#stop.abort()
    }
  }

  async #createGuest(): Promise<GuestView> {
    const { client, image } = this.#options
    const present = await client.call(ENDPOINTS['guest.show'], { params: { guest: GUEST } })
    if (!present.ok) {
      const kernel = await sendBlob({ client, path: image.kernel, signal: this.#stop.signal })
      const initrd = await sendBlob({ client, path: image.initrd, signal: this.#stop.signal })
      must(
        await client.call(ENDPOINTS['guest.create'], {
          body: {
            name: GUEST,
            memoryBytes: 128 * MIB,
            cpus: 1,
            disks: [{ sizeBytes: 256 * MIB }],
            boot: { kind: 'kernel', kernel, initrd, append: GUEST_WORDS },
            ha: 'started',
            start: true,
          },
        }),
      )
    }
    return this.#guest.untilProtected()
  }

  /** Under a session that was open before and is open after. */
  async #moveLive(): Promise<Move> {
    const { client, lab } = this.#options
    const [command = '', ...args] = must(enterClient(lab, talkCommand(ADDRESS)))
    let session: TalkSession | undefined
    await untilTold(`${GUEST} answers`, async () => {
      session = await TalkSession.open(spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'] }))
      return session !== undefined
    })
    if (!session) throw new Error(`${GUEST} does not answer`)
    const moved = async () => must(await client.call(ENDPOINTS['event.list'], {})).items.findLast(isMove)
    const earlier = (await moved())?.id
    must(await client.call(ENDPOINTS['guest.migrate'], { params: { guest: GUEST }, body: {} }))
    await untilTold('it has moved', async () => (await moved())?.id !== earlier)
    const totalMs = Number((await moved())?.details?.['totalMs'])
    await untilTold('it runs there', async () => (await this.#guest.view()).state === 'running')
    return { ...(await session.close()), totalMs }
  }

  /** Returns the first record of the guest's new life. */
  async #pullPlug(host: string, before: number): Promise<number> {
    const { lab } = this.#options
    const { boot } = lab
    await sleep(300)
    this.#plugPulledMs = Number(process.hrtime.bigint()) / 1e6
    must(await withLabLock(boot.places.folder, () => powerOff(boot, host)))
    return this.#guest.recordsPast(before + 1, 'RESUME')
  }

  /** Returns how long it was away, ms. */
  async #containerBack({ guest }: TourContainer, before: number): Promise<number> {
    return this.#sayTakeOver(guest.name, await guest.recordsPast(before, 'RESUME'))
  }

  #sayTakeOver(name: string, resumed: number): number {
    const started = this.#events.find(({ kind, subject }) => kind === 'guest.started' && subject === `guest/${name}`)
    const downMs = started ? started.monotonicMs - this.#plugPulledMs : Number.NaN
    const where = String(started?.details?.['host'])
    this.#options.say(`   ${name} runs again on ${where} after ${seconds(downMs)}; it went on with record ${resumed}.`)
    return downMs
  }

  /** Returns the event that ended the resync. */
  async #powerBack(host: string): Promise<ClusterEvent | undefined> {
    const { lab } = this.#options
    const spec = must(findHost(lab, host))
    must(await withLabLock(lab.boot.places.folder, () => powerOn(lab.boot, spec)))
    const { volumes } = await this.#guest.untilProtected()
    const subject = `volume/${volumes[0]?.id}`
    const finished = () =>
      this.#events.findLast((event) => event.kind === 'resync.finished' && event.subject === subject)
    await untilTold('the end of the resync is told', async () => finished() !== undefined)
    return finished()
  }

  async #verify(): Promise<{ readonly last: number; readonly missing: Map<string, number> }> {
    const { lab, nativeDir } = this.#options
    const last = await this.#guest.recordsPast(0)
    const missing = new Map<string, number>()
    const guest = await this.#guest.view()
    for (const volume of guest.volumes) {
      for (const replica of volume.replicas) {
        const file = join(hostFolder(lab.boot.places, replica.host), 'pools', replica.pool, `${volume.id}.raw`)
        const { stdout } = await promisify(execFile)(join(nativeDir, 'recorder'), [
          'verify',
          file,
          '1',
          String(last),
        ]).catch((error: { stdout?: string }) => {
          // The recorder's exit code tells of missing records; its line says which.
          if (error.stdout?.startsWith('{')) return { stdout: error.stdout }
          throw error
        })
        missing.set(replica.host, (JSON.parse(stdout) as { missing: number[] }).missing.length)
      }
    }
    return { last, missing }
  }

  async #followEvents(): Promise<void> {
    const { client, say } = this.#options
    const since = new Date(Date.now() - 100).toISOString()
    for await (const item of client.follow(ENDPOINTS['event.list'], { query: { since } } as never, this.#stop.signal)) {
      if (!item.ok) throw new FailureError(item.error)
      const event = item.value as ClusterEvent
      this.#events.push(event)
      if (!TOLD.has(event.kind)) continue
      const atMs = event.monotonicMs - this.#plugPulledMs
      say(`   ${`+${(atMs / 1000).toFixed(3)} s`.padStart(10)}  ${event.kind.padEnd(20)} ${event.message}`)
    }
  }

  #sayFigures({ downMs, last, resync, move, container }: Figures): void {
    const { say, lab } = this.#options
    const detail = (name: string) => Number(resync?.details?.[name] ?? Number.NaN)
    say('\nFigures')
    say(`   live move: longest silence of a client  ${Math.round(move.gapMs)} ms, of ${seconds(move.totalMs)} in all`)
    say(`   plug pulled to the new QEMU process    ${seconds(downMs)}`)
    say(`   acknowledged records, none missing     ${last}`)
    if (container) {
      say(`   plug pulled to the new container       ${seconds(container.downMs)}`)
      say(`   its acknowledged records, none missing ${container.last}`)
    }
    say(`   copied to bring the replica back       ${(detail('copiedBytes') / MIB).toFixed(1)} MiB of 256 MiB`)
    say(`   guest stood still for the last pass    ${detail('pauseMs').toFixed(1)} ms`)
    say(`\nThe lab '${lab.boot.places.lab}' goes on. Try:`)
    say('   bin/stead host list                    bin/stead vm show demo')
    say('   bin/stead explain vm demo              bin/stead event list --follow')
    say('   bin/stead lab kill h2 qsd              bin/stead lab cut h1 san')
    say('   bin/stead lab freeze h2                bin/stead lab down')
  }

  async #untilHostsAreOnline(): Promise<void> {
    const { client } = this.#options
    await untilTold('all hosts are online', async () => {
      const { items } = must(await client.call(ENDPOINTS['host.list']))
      return items.length === this.#options.lab.notes.hosts.length && items.every((host) => host.state === 'online')
    })
  }
}

type Move = TalkReport & { readonly totalMs: number }

interface Figures {
  readonly downMs: number
  readonly last: number
  readonly resync: ClusterEvent | undefined
  readonly move: Move
  readonly container?: { readonly downMs: number; readonly last: number }
}

const isMove = (event: ClusterEvent) => event.kind === 'guest.migrated'

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`
}

/** Bounded; what went wrong the last time is the cause. */
export async function untilTold(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS
  let last: unknown
  while (performance.now() < deadline) {
    last = undefined
    try {
      if (await condition()) return
    } catch (error) {
      last = error
    }
    await sleep(100)
  }
  throw new Error(`not within ${WAIT_MS / 1000} s: ${what}`, { cause: last })
}
