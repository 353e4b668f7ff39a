/** Two storage hosts of a guest under test: bare qemu-storage-daemons, `a` by unix socket and `b` by TCP on loopback. */
import assert from 'node:assert/strict'
import { chmodSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Leg } from '@stead/core/ports/guest-host.ts'
import { must, type ServerName } from '@stead/sim/contract/guest-host-contract.ts'
import { freePort } from '../free-port-fixture.ts'
import { probeNbdServer } from './leg-probe.ts'
import { BareStorageDaemon } from './storage-daemon-fixture.ts'

const BOUND_MS = 20_000

export class ReplicaServers {
  readonly folder: string
  readonly #diskBytes: number
  readonly #daemons = new Map<ServerName, BareStorageDaemon>()
  #port = 0
  readonly #volumes: string[] = []

  constructor(folder: string, diskBytes: number) {
    this.folder = folder
    this.#diskBytes = diskBytes
  }

  image(server: ServerName, volume: string): string {
    return join(this.folder, `${volume}.${server}.raw`)
  }

  leg(host: ServerName, volume: string): Leg {
    const endpoint =
      host === 'a'
        ? ({ kind: 'unix', path: join(this.folder, 'a.nbd') } as const)
        : ({ kind: 'tcp', address: '127.0.0.1', port: this.#port } as const)
    return { host, endpoint, exportName: `vol-${volume}-e1` }
  }

  async start(name: ServerName): Promise<void> {
    if (name === 'b' && this.#port === 0) this.#port = await freePort()
    const nbd = join(this.folder, 'a.nbd')
    if (name === 'a') rmSync(nbd, { force: true })
    const address =
      name === 'a' ? `addr.type=unix,addr.path=${nbd}` : `addr.type=inet,addr.host=127.0.0.1,addr.port=${this.#port}`
    this.#daemons.set(name, await BareStorageDaemon.start(this.folder, name, address))
    for (const volume of this.#volumes) await this.#export(name, volume)
    if (name === 'a') chmodSync(nbd, 0o666)
    must(await probeNbdServer(this.leg(name, 'x').endpoint, BOUND_MS))
  }

  /** On both. `content`: how it begins; the rest is zeroes. */
  async addVolume(volume: string, content: Buffer): Promise<void> {
    this.#volumes.push(volume)
    for (const name of ['a', 'b'] as const) {
      writeFileSync(this.image(name, volume), content)
      truncateSync(this.image(name, volume), this.#diskBytes)
      await this.#export(name, volume)
    }
  }

  async #export(name: ServerName, volume: string): Promise<void> {
    const daemon = this.#daemons.get(name)
    assert.ok(daemon)
    const node = `v${volume.slice(0, 24)}`
    const file = { driver: 'file', filename: this.image(name, volume) }
    await daemon.execute('blockdev-add', { driver: 'raw', 'node-name': node, file })
    const exported = { id: node, 'node-name': node, name: `vol-${volume}-e1` }
    await daemon.execute('block-export-add', { type: 'nbd', ...exported, writable: true })
  }

  async serveLarger(volume: string, sizeBytes: number): Promise<void> {
    const node = `v${volume.slice(0, 24)}`
    for (const daemon of this.#daemons.values()) {
      const ended = daemon.monitor.waitFor(({ event }) => event === 'BLOCK_EXPORT_DELETED', BOUND_MS)
      await daemon.execute('block-export-del', { id: node, mode: 'hard' })
      assert.ok(await ended)
      await daemon.execute('block_resize', { 'node-name': node, size: sizeBytes })
      const exported = { id: node, 'node-name': node, name: `vol-${volume}-e1` }
      await daemon.execute('block-export-add', { type: 'nbd', ...exported, writable: true })
    }
  }

  signal(name: ServerName, signal: NodeJS.Signals): void {
    this.#daemons.get(name)?.process.kill(signal)
  }

  async kill(name: ServerName): Promise<void> {
    await this.#daemons.get(name)?.kill()
  }
}
