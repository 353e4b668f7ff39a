/** Two guest folders that play two hosts, and two qemu-storage-daemons that hold the replicas of both. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type { GuestDisk, GuestLaunch, Leg, RunningGuest } from '@stead/core/ports/guest-host.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { must } from '@stead/sim/contract/guest-host-contract.ts'
import {
  type GuestMigrationHarness,
  type HostName,
  type MigrationHost,
} from '@stead/sim/contract/guest-migration-contract.ts'
import { freePort } from '../free-port-fixture.ts'
import { bootSector, lastNumberIn } from './boot-sector.ts'
import { probeNbdServer } from './leg-probe.ts'
import { QemuGuestHost } from './qemu-guest-host.ts'
import { BareStorageDaemon } from './storage-daemon-fixture.ts'

const HELPER = resolve(import.meta.dirname, '../../../../.native/bin/stead-run-guest')
const FAULTS = '/dev/userfaultfd'
const DISK_BYTES = 16 << 20
/** Any unprivileged user; nothing needs to know it. */
export const GUEST_USER = process.getuid?.() === 0 ? { uid: 64_055, gid: 64_055 } : undefined
export const BOUND_MS = 20_000
const SERVERS = ['a', 'b'] as const
type ServerName = (typeof SERVERS)[number]

const quietLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  with: () => quietLog,
}

/** One storage host: its replicas can be served at several epochs side by side. */
class Server {
  readonly name: ServerName
  readonly #folder: string
  #daemon: BareStorageDaemon | undefined
  #port = 0

  constructor(name: ServerName, folder: string) {
    this.name = name
    this.#folder = folder
  }

  async start(): Promise<void> {
    this.#port = await freePort()
    const address = `addr.type=inet,addr.host=127.0.0.1,addr.port=${this.#port}`
    this.#daemon = await BareStorageDaemon.start(this.#folder, this.name, address)
    must(await probeNbdServer(this.#endpoint, BOUND_MS))
  }

  image(volume: VolumeId): string {
    return join(this.#folder, `${volume}.${this.name}.raw`)
  }

  leg(volume: VolumeId, epoch: number): Leg {
    return { host: this.name, endpoint: this.#endpoint, exportName: exportName(volume, epoch) }
  }

  async create(volume: VolumeId): Promise<void> {
    writeFileSync(this.image(volume), bootSector('write'))
    truncateSync(this.image(volume), DISK_BYTES)
    const file = { driver: 'file', filename: this.image(volume) }
    await this.#execute('blockdev-add', { driver: 'raw', 'node-name': nodeName(volume), file })
  }

  async serve(volume: VolumeId, epoch: number): Promise<void> {
    const name = exportName(volume, epoch)
    const id = `${nodeName(volume)}-${epoch}`
    await this.#execute('block-export-add', { type: 'nbd', id, 'node-name': nodeName(volume), name, writable: true })
  }

  async endService(volume: VolumeId, epoch: number): Promise<void> {
    const deleted = this.#daemon?.monitor.waitFor(({ event }) => event === 'BLOCK_EXPORT_DELETED', BOUND_MS)
    await this.#execute('block-export-del', { id: `${nodeName(volume)}-${epoch}`, mode: 'hard' })
    assert.ok(await deleted, 'the export does not end')
  }

  async stop(): Promise<void> {
    await this.#daemon?.kill()
  }

  get #endpoint(): Leg['endpoint'] {
    return { kind: 'tcp', address: '127.0.0.1', port: this.#port }
  }

  async #execute(command: string, args: object): Promise<void> {
    assert.ok(this.#daemon)
    await this.#daemon.execute(command, args)
  }
}

const exportName = (volume: VolumeId, epoch: number): string => `vol-${volume}-e${epoch}`
const nodeName = (volume: VolumeId): string => `v${volume.slice(0, 24)}`

export class RealHarness implements GuestMigrationHarness {
  readonly folder: string
  readonly servers: readonly Server[]
  readonly qemu: Record<HostName, QemuGuestHost>
  readonly #guests: GuestId[] = []
  readonly #served = new Map<VolumeId, number[]>()

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'stead-mig-'))
    // The guests' user passes through to its sockets.
    chmodSync(this.folder, 0o711)
    this.servers = SERVERS.map((name) => new Server(name, this.folder))
    this.qemu = { here: this.#newHost('here'), there: this.#newHost('there') }
  }

  get hosts(): Readonly<Record<HostName, MigrationHost>> {
    const { here, there } = this.qemu
    return { here: { guests: here, migration: here.migration }, there: { guests: there, migration: there.migration } }
  }

  /** Starts what it starts with a `/dev/userfaultfd` of its own that everybody may open; the machine's stays as it is. */
  #helper(): string {
    if (!GUEST_USER || !existsSync(FAULTS)) return HELPER
    const [device, script] = [join(this.folder, 'userfaultfd'), join(this.folder, 'run-guest')]
    if (existsSync(script)) return script
    const number = statSync(FAULTS).rdev
    execFileSync('mknod', [
      '--mode=666',
      device,
      'c',
      String((number >> 8) & 0xfff),
      String((number & 0xff) | ((number >> 12) & 0xfff00)),
    ])
    const inside = `mount --bind ${device} ${FAULTS} && exec ${HELPER} "$@"`
    writeFileSync(script, `#!/bin/sh\nexec unshare --mount --propagation private -- sh -c '${inside}' sh "$@"\n`, {
      mode: 0o755,
    })
    return script
  }

  #newHost(name: HostName): QemuGuestHost {
    return new QemuGuestHost({
      guestsFolder: join(this.folder, name),
      helper: this.#helper(),
      log: quietLog,
      ...(GUEST_USER ? { user: GUEST_USER } : {}),
    })
  }

  async guest(): Promise<GuestLaunch> {
    const guest = randomUUID() as GuestId
    const volume = randomUUID().replaceAll('-', '') as VolumeId
    this.#guests.push(guest)
    for (const server of this.servers) await server.create(volume)
    return {
      ...{ guest, name: 'writer', epoch: 1, memoryBytes: 32 << 20, cpus: 1, boot: { kind: 'disk' }, nics: [] },
      disks: [await this.#serve(volume, 1)],
      accelerator: 'tcg',
    }
  }

  async open(launch: GuestLaunch, epoch: number): Promise<GuestLaunch> {
    return { ...launch, epoch, disks: [await this.#serve(volumeOf(launch), epoch)] }
  }

  async #serve(volume: VolumeId, epoch: number): Promise<GuestDisk> {
    for (const server of this.servers) await server.serve(volume, epoch)
    this.#served.set(volume, [...(this.#served.get(volume) ?? []), epoch])
    const legs = this.servers.map((server) => server.leg(volume, epoch))
    return { volume, sizeBytes: DISK_BYTES, width: legs.length, legs }
  }

  async closeBelow(launch: GuestLaunch, epoch: number): Promise<void> {
    const volume = volumeOf(launch)
    const epochs = this.#served.get(volume) ?? []
    for (const old of epochs.filter((each) => each < epoch))
      for (const server of this.servers) await server.endService(volume, old)
    this.#served.set(
      volume,
      epochs.filter((each) => each >= epoch),
    )
  }

  console(host: HostName, launch: GuestLaunch): string {
    const path = this.qemu[host].consoleLogPath(launch.guest)
    return existsSync(path) ? readFileSync(path, 'latin1') : ''
  }

  /** The guest says `.` for every acknowledged write, `E` for an error and `B` when it boots. */
  async untilWriting(host: HostName, launch: GuestLaunch): Promise<void> {
    const acknowledged = () => this.console(host, launch).split('.').length - 1
    const before = acknowledged()
    for (const deadline = performance.now() + BOUND_MS; acknowledged() < before + 20; await sleep(5))
      assert.ok(performance.now() < deadline, `the guest does not write ${host}`)
    assert.ok(!this.console(host, launch).includes('E'), 'the guest saw an I/O error')
  }

  written(launch: GuestLaunch): number {
    const volume = volumeOf(launch)
    return Math.min(...this.servers.map((server) => lastNumberIn(readFileSync(server.image(volume)))))
  }

  boots(host: HostName, launch: GuestLaunch): number {
    return this.console(host, launch).split('B').length - 1
  }

  /** Whether the kernel has what it needs, and this test may give it to the guests. */
  readonly runsWhileCopied = true

  get knowsPostCopy(): boolean {
    return GUEST_USER !== undefined && existsSync(FAULTS)
  }

  async crash(_: HostName, running: RunningGuest): Promise<void> {
    process.kill(running.pid, 'SIGKILL')
  }

  async restartAgent(host: HostName): Promise<void> {
    this.qemu[host].close()
    this.qemu[host] = this.#newHost(host)
  }

  async close(): Promise<void> {
    const hosts = Object.values(this.qemu)
    const killed = await Promise.all(hosts.flatMap((host) => this.#guests.map((guest) => host.kill(guest))))
    for (const host of hosts) host.close()
    for (const server of this.servers) await server.stop()
    rmSync(this.folder, { recursive: true, force: true })
    for (const each of killed) must(each)
  }
}

export function realHarness(): Promise<RealHarness> {
  return started(new RealHarness())
}

/** With its storage servers; closed again when one does not start. */
export async function started<Harness extends RealHarness>(harness: Harness): Promise<Harness> {
  try {
    for (const server of harness.servers) await server.start()
    return harness
  } catch (error) {
    await harness.close()
    throw error
  }
}

function volumeOf(launch: GuestLaunch): VolumeId {
  const disk = launch.disks[0]
  assert.ok(disk)
  return disk.volume
}
