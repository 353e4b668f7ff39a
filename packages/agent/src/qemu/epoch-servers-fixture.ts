/** Two storage hosts for tests of moves: bare qemu-storage-daemons that can serve a replica at several epochs side by side. */
import assert from 'node:assert/strict'
import { chmodSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { GuestDisk, Leg } from '@stead/core/ports/guest-host.ts'
import { must } from '@stead/sim/contract/guest-host-contract.ts'
import { freePort } from '../free-port-fixture.ts'
import { probeNbdServer } from './leg-probe.ts'
import { BareStorageDaemon } from './storage-daemon-fixture.ts'

const BOUND_MS = 20_000

export class EpochServers {
  readonly #diskBytes: number
  readonly #servers: readonly Server[]
  readonly #served = new Map<VolumeId, readonly number[]>()

  /** `by`: TCP on loopback, or sockets in the folder, which guests in other network namespaces reach too. */
  constructor(folder: string, diskBytes: number, by: 'tcp' | 'unix') {
    this.#diskBytes = diskBytes
    this.#servers = ['a', 'b'].map((name) => new Server(name, folder, by))
  }

  async start(): Promise<void> {
    for (const server of this.#servers) await server.start()
  }

  images(volume: VolumeId): readonly string[] {
    return this.#servers.map((server) => server.image(volume))
  }

  /** `content`: how it begins; the rest is zeroes. */
  async create(volume: VolumeId, content: Buffer): Promise<void> {
    for (const server of this.#servers) await server.create(volume, content, this.#diskBytes)
  }

  async serve(volume: VolumeId, epoch: number): Promise<GuestDisk> {
    for (const server of this.#servers) await server.serve(volume, epoch)
    this.#served.set(volume, [...(this.#served.get(volume) ?? []), epoch])
    const legs = this.#servers.map((server) => server.leg(volume, epoch))
    return { volume, sizeBytes: this.#diskBytes, width: legs.length, legs }
  }

  async closeBelow(volume: VolumeId, epoch: number): Promise<void> {
    const epochs = this.#served.get(volume) ?? []
    for (const old of epochs.filter((each) => each < epoch))
      for (const server of this.#servers) await server.endService(volume, old)
    this.#served.set(
      volume,
      epochs.filter((each) => each >= epoch),
    )
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) await server.stop()
  }
}

class Server {
  readonly #name: string
  readonly #folder: string
  readonly #by: 'tcp' | 'unix'
  #daemon: BareStorageDaemon | undefined
  #port = 0

  constructor(name: string, folder: string, by: 'tcp' | 'unix') {
    this.#name = name
    this.#folder = folder
    this.#by = by
  }

  async start(): Promise<void> {
    const socket = join(this.#folder, `${this.#name}.nbd`)
    if (this.#by === 'tcp') this.#port = await freePort()
    const inet = `addr.type=inet,addr.host=127.0.0.1,addr.port=${this.#port}`
    const address = this.#by === 'tcp' ? inet : `addr.type=unix,addr.path=${socket}`
    this.#daemon = await BareStorageDaemon.start(this.#folder, this.#name, address)
    if (this.#by === 'unix') chmodSync(socket, 0o666)
    must(await probeNbdServer(this.#endpoint, BOUND_MS))
  }

  image(volume: VolumeId): string {
    return join(this.#folder, `${volume}.${this.#name}.raw`)
  }

  leg(volume: VolumeId, epoch: number): Leg {
    return { host: this.#name, endpoint: this.#endpoint, exportName: exportName(volume, epoch) }
  }

  async create(volume: VolumeId, content: Buffer, diskBytes: number): Promise<void> {
    writeFileSync(this.image(volume), content)
    truncateSync(this.image(volume), diskBytes)
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
    if (this.#by === 'unix') return { kind: 'unix', path: join(this.#folder, `${this.#name}.nbd`) }
    return { kind: 'tcp', address: '127.0.0.1', port: this.#port }
  }

  async #execute(command: string, args: object): Promise<void> {
    assert.ok(this.#daemon)
    await this.#daemon.execute(command, args)
  }
}

const exportName = (volume: VolumeId, epoch: number): string => `vol-${volume}-e${epoch}`
const nodeName = (volume: VolumeId): string => `v${volume.slice(0, 24)}`
