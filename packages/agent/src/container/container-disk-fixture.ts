/**
 * A container's disk without a container: two storage hosts, the front, `stead-disk`, a loop device and a mounted file
 * system, and a program that writes to it and says what was acknowledged.
 */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { ok } from '@stead/core/result.ts'
import { must, type ServerName } from '@stead/sim/contract/guest-host-contract.ts'
import { runProgram } from '../process/run-program.ts'
import { ReplicaServers } from '../qemu/replica-servers-fixture.ts'
import { ContainerFront, type FrontOptions } from './container-front.ts'
import type { FrontLaunch } from './front-record.ts'
import { shareMountsBelow, unmountLazily } from './container-file-system.ts'
import { endFront } from './front-process.ts'
import { clearHeldDisk, HeldDisk, type HeldDiskEvent, type HeldDiskOptions, type HeldDiskStart } from './held-disk.ts'

const BIN = resolve(import.meta.dirname, '../../../../.native/bin')
const GUEST_USER = process.getuid?.() === 0 ? { uid: 64_055, gid: 64_055 } : undefined
export const BOUND_MS = 20_000
export const DISK_BYTES = 96 << 20

const quietLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  with: () => quietLog,
}

export class ContainerDisk {
  readonly folder: string
  readonly servers: ReplicaServers
  readonly volume = randomUUID().replaceAll('-', '') as VolumeId
  readonly events: HeldDiskEvent[] = []
  readonly ends: string[] = []
  readonly #writers: ChildProcess[] = []
  #front: ContainerFront | undefined
  #disk: HeldDisk | undefined
  #epoch = 0

  private constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'stead-ct-'))
    // The front's user passes through to its sockets.
    chmodSync(this.folder, 0o711)
    this.servers = new ReplicaServers(this.folder, DISK_BYTES)
  }

  static async make(): Promise<ContainerDisk> {
    const made = new ContainerDisk()
    try {
      await made.servers.start('a')
      await made.servers.start('b')
      await made.servers.addVolume(made.volume, Buffer.alloc(0))
      must(await shareMountsBelow(made.folder))
      return made
    } catch (error) {
      await made.close()
      throw error
    }
  }

  get front(): ContainerFront {
    assert.ok(this.#front)
    return this.#front
  }

  get disk(): HeldDisk {
    assert.ok(this.#disk)
    return this.#disk
  }

  get mountFolder(): string {
    return join(this.folder, 'rootfs')
  }

  get diskFolder(): string {
    return join(this.folder, 'disk0')
  }

  #frontOptions(): FrontOptions {
    return {
      folder: join(this.folder, 'front'),
      helper: join(BIN, 'stead-run-guest'),
      requireQuiet: () => this.#disk?.requireQuiet() ?? Promise.resolve(ok()),
      onGone: (reason) => void this.ends.push(reason),
      log: quietLog,
      ...(GUEST_USER ? { user: GUEST_USER } : {}),
    }
  }

  #diskOptions(): HeldDiskOptions {
    return {
      folder: this.diskFolder,
      mountFolder: this.mountFolder,
      nbdSocket: this.front.nbdSocket,
      exportName: must(this.front.exportOf(this.volume)),
      helper: join(BIN, 'stead-run-guest'),
      steadDisk: join(BIN, 'stead-disk'),
      onEvent: (event) => void this.events.push(event),
      log: quietLog,
    }
  }

  async startFront(hosts: readonly ServerName[], sizeBytes = DISK_BYTES): Promise<void> {
    const legs = hosts.map((host) => this.servers.leg(host, this.volume))
    const disk = { volume: this.volume, sizeBytes, width: 2, legs }
    const launch: FrontLaunch = { guest: randomUUID() as GuestId, name: 'ct', epoch: ++this.#epoch, disks: [disk] }
    this.#front = must(await ContainerFront.start(this.#frontOptions(), launch))
  }

  async start(
    how: HeldDiskStart = {},
    hosts: readonly ServerName[] = ['a', 'b'],
    sizeBytes = DISK_BYTES,
  ): Promise<void> {
    await this.startFront(hosts, sizeBytes)
    this.#disk = must(await HeldDisk.start(this.#diskOptions(), how))
  }

  /** Everything that ran is found again by new objects, as an agent does that comes back. */
  async restartAgent(): Promise<void> {
    this.front.dispose()
    this.disk.dispose()
    this.#disk = undefined
    this.#front = must(await ContainerFront.adopt(this.#frontOptions()))
    this.#disk = must(await HeldDisk.adopt(this.#diskOptions()))
  }

  /** What an agent does that finds nothing alive. */
  async findsNothing(): Promise<void> {
    this.front.dispose()
    this.disk.dispose()
    assert.equal(must(await ContainerFront.adopt(this.#frontOptions())), undefined)
    assert.equal(must(await HeldDisk.adopt(this.#diskOptions())), undefined)
    must(await clearHeldDisk(this.diskFolder, this.mountFolder))
  }

  /** Ends in order; `clean` is what a container's end tells. */
  async end(): Promise<{ readonly clean: boolean }> {
    const { clean } = must(await this.disk.close())
    const { flushed } = await this.front.quit()
    return { clean: clean && flushed }
  }

  /** In the order in which a container is killed. */
  async kill(): Promise<void> {
    must(await this.front.kill())
    for (const writer of this.#writers) writer.kill('SIGKILL')
    must(await this.disk.kill())
  }

  async held(): Promise<HeldDiskEvent & { readonly kind: 'held' }> {
    return until(() => this.events.find((event) => event.kind === 'held'), 'news of what is held')
  }

  /** A ring of records of 4 KiB, each written past the page cache and followed by fdatasync before it counts. */
  writer(name: string): Writer {
    const path = join(this.mountFolder, name)
    const file = openSync(path, 'a')
    ftruncateSync(file, 4096 * 2048)
    closeSync(file)
    const child = spawn(join(BIN, 'recorder'), ['append', path, '0', '2048'], { stdio: ['ignore', 'pipe', 'ignore'] })
    this.#writers.push(child)
    return new Writer(child)
  }

  /** How many of the last records up to `acknowledged` are not there. */
  async missing(name: string, acknowledged: number): Promise<number> {
    const from = String(Math.max(1, acknowledged - 2000))
    const args = ['verify', join(this.mountFolder, name), from, String(acknowledged)]
    const { output } = must(await runProgram(join(BIN, 'recorder'), args, BOUND_MS, { accepted: [0, 1] }))
    return (JSON.parse(output) as { readonly missing: readonly unknown[] }).missing.length
  }

  async close(): Promise<void> {
    this.#front?.dispose()
    this.#disk?.dispose()
    for (const name of ['a', 'b'] as const) this.servers.signal(name, 'SIGCONT')
    const ended = await endFront(join(this.folder, 'front'))
    for (const writer of this.#writers) writer.kill('SIGKILL')
    const cleared = await clearHeldDisk(this.diskFolder, this.mountFolder)
    for (const name of ['a', 'b'] as const) await this.servers.kill(name)
    must(ended)
    must(cleared)
    must(await unmountLazily(this.folder))
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export class Writer {
  readonly process: ChildProcess
  readonly #gone: Promise<unknown>
  #said = ''

  constructor(child: ChildProcess) {
    this.process = child
    this.#gone = once(child, 'exit')
    child.stdout?.on('data', (chunk: Buffer) => (this.#said += chunk.toString()))
  }

  /** The number of the last record that the disk has promised to keep; 0: none yet. */
  get acknowledged(): number {
    return Number(/(?:^|\n)ACK (\d+)\n(?!.*\nACK)/s.exec(this.#said.slice(-200))?.[1] ?? 0)
  }

  get errors(): readonly string[] {
    return this.#said.split('\n').filter((line) => /^[WF]ERR/.test(line))
  }

  async goesOn(): Promise<void> {
    const before = this.acknowledged
    await until(() => this.acknowledged >= before + 10 || undefined, 'further acknowledged records')
    assert.deepEqual(this.errors, [])
  }

  async fails(): Promise<void> {
    await until(() => this.errors[0] ?? (this.process.exitCode === null ? undefined : 'ended'), 'an error')
  }

  /** Nothing is acknowledged for a while: whoever waits for the disk waits on. */
  async standsStill(): Promise<void> {
    // What was done before may still be on its way to us: the writer has to be woken up to say so.
    await sleep(200)
    const before = this.acknowledged
    await sleep(300)
    assert.equal(this.acknowledged, before)
    assert.deepEqual(this.errors, [])
  }

  async stop(): Promise<void> {
    this.process.kill('SIGKILL')
    await this.#gone
  }
}

export async function until<T>(look: () => T | undefined, what: string): Promise<T> {
  const deadline = performance.now() + BOUND_MS
  for (;;) {
    const found = look()
    if (found !== undefined) return found
    assert.ok(performance.now() < deadline, `waited too long for ${what}`)
    await sleep(5)
  }
}
