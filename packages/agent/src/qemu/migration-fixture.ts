/** Two guest folders that play two hosts, and two qemu-storage-daemons that hold the replicas of both. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type { GuestLaunch, RunningGuest } from '@stead/core/ports/guest-host.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { must } from '@stead/sim/contract/guest-host-contract.ts'
import {
  type GuestMigrationHarness,
  type HostName,
  type MigrationHost,
} from '@stead/sim/contract/guest-migration-contract.ts'
import { bootSector, lastNumberIn } from './boot-sector.ts'
import { EpochServers } from './epoch-servers-fixture.ts'
import { QemuGuestHost } from './qemu-guest-host.ts'

const HELPER = resolve(import.meta.dirname, '../../../../.native/bin/stead-run-guest')
const FAULTS = '/dev/userfaultfd'
const DISK_BYTES = 16 << 20
/** Any unprivileged user; nothing needs to know it. */
export const GUEST_USER = process.getuid?.() === 0 ? { uid: 64_055, gid: 64_055 } : undefined
export const BOUND_MS = 20_000
const ADDRESS = '127.0.0.1'

const quietLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  with: () => quietLog,
}

export class RealHarness implements GuestMigrationHarness {
  readonly folder: string
  readonly #servers: EpochServers
  readonly qemu: Record<HostName, QemuGuestHost>
  readonly #guests: GuestId[] = []

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'stead-mig-'))
    // The guests' user passes through to its sockets.
    chmodSync(this.folder, 0o711)
    this.#servers = new EpochServers(this.folder, DISK_BYTES, 'tcp')
    this.qemu = { here: this.#newHost('here'), there: this.#newHost('there') }
  }

  start(): Promise<void> {
    return this.#servers.start()
  }

  get hosts(): Readonly<Record<HostName, MigrationHost>> {
    const { here, there } = this.qemu
    const of = (guests: QemuGuestHost) => ({ address: ADDRESS, guests, migration: guests.migration })
    return { here: of(here), there: of(there) }
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

  async guest(behaviour: 'write' | 'fill' = 'write'): Promise<GuestLaunch> {
    const guest = randomUUID() as GuestId
    const volume = randomUUID().replaceAll('-', '') as VolumeId
    this.#guests.push(guest)
    await this.#servers.create(volume, bootSector(behaviour))
    return {
      ...{ guest, name: 'writer', epoch: 1, memoryBytes: 32 << 20, cpus: 1, boot: { kind: 'disk' }, nics: [] },
      disks: [await this.#servers.serve(volume, 1)],
      accelerator: 'tcg',
    }
  }

  async open(launch: GuestLaunch, epoch: number): Promise<GuestLaunch> {
    return { ...launch, epoch, disks: [await this.#servers.serve(volumeOf(launch), epoch)] }
  }

  closeBelow(launch: GuestLaunch, epoch: number): Promise<void> {
    return this.#servers.closeBelow(volumeOf(launch), epoch)
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
    return Math.min(...this.#servers.images(volume).map((image) => lastNumberIn(readFileSync(image))))
  }

  boots(host: HostName, launch: GuestLaunch): number {
    return this.console(host, launch).split('B').length - 1
  }

  /** Whether the kernel has what it needs, and this test may give it to the guests. */
  readonly runsWhileCopied = true
  readonly outlivesAgents = true

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
    await this.#servers.stop()
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
    await harness.start()
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
