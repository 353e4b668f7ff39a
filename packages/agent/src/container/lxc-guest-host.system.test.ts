/** The contract on real LXC with two real qemu-storage-daemons, on a host with nothing else on it. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { GuestDisk, GuestHost, GuestLaunch, Leg, RunningGuest } from '@stead/core/ports/guest-host.ts'
import {
  guestHostContract,
  must,
  type GuestBehaviour,
  type GuestHostHarness,
  type ServerName,
} from '@stead/sim/contract/guest-host-contract.ts'
import { ReplicaServers } from '../qemu/replica-servers-fixture.ts'
import { onBareHost } from './bare-host-fixture.ts'
import { unmountLazily } from './container-file-system.ts'
import { LxcGuestHost } from './lxc-guest-host.ts'
import { until } from './lxc-fixture.ts'
import { containerLaunch, DISK_BYTES, FRONT_USER, NATIVE, quietLog, rootFor, volumeOf } from './lxc-launch-fixture.ts'

const BRIDGE = 'br0'

class LxcHarness implements GuestHostHarness {
  readonly #folder = mkdtempSync(join(tmpdir(), 'stead-lx-'))
  readonly #servers: ReplicaServers
  readonly #launches: GuestLaunch[] = []
  #host: LxcGuestHost

  private constructor() {
    // The front's user passes through to its sockets.
    chmodSync(this.#folder, 0o711)
    mkdirSync(join(this.#folder, 'containers'), { mode: 0o711 })
    this.#servers = new ReplicaServers(this.#folder, DISK_BYTES)
    this.#host = this.#newHost()
  }

  static async make(): Promise<LxcHarness> {
    const harness = new LxcHarness()
    try {
      await harness.#servers.start('a')
      await harness.#servers.start('b')
      assert.deepEqual(await harness.#host.adopt(), [])
      return harness
    } catch (error) {
      await harness.close()
      throw error
    }
  }

  #newHost(): LxcGuestHost {
    return new LxcGuestHost({
      containersFolder: join(this.#folder, 'containers'),
      nativeDir: NATIVE,
      user: FRONT_USER,
      namespacePid: async () => undefined,
      bridge: BRIDGE,
      log: quietLog,
    })
  }

  get host(): GuestHost {
    return this.#host
  }

  async guest(behaviour: GuestBehaviour, hosts: readonly ServerName[] = ['a', 'b']): Promise<GuestLaunch> {
    const volume = await this.#volume(rootFor(behaviour))
    const legs = hosts.map((host) => this.#servers.leg(host, volume))
    const launch = containerLaunch(behaviour, { volume, sizeBytes: DISK_BYTES, width: 2, legs })
    this.#launches.push(launch)
    return launch
  }

  async disk(slot: number): Promise<GuestDisk & { readonly slot: number }> {
    const volume = await this.#volume(Buffer.alloc(0))
    const legs = (['a', 'b'] as const).map((host) => this.#servers.leg(host, volume))
    return { volume, sizeBytes: DISK_BYTES, width: 2, legs, slot }
  }

  async #volume(content: Buffer): Promise<VolumeId> {
    const volume = randomUUID().replaceAll('-', '') as VolumeId
    await this.#servers.addVolume(volume, content)
    return volume
  }

  leg(launch: GuestLaunch, server: ServerName): Leg {
    return this.#servers.leg(server, volumeOf(launch))
  }

  serveLarger(launch: GuestLaunch, sizeBytes: number): Promise<void> {
    return this.#servers.serveLarger(volumeOf(launch), sizeBytes)
  }

  killServer(server: ServerName): Promise<void> {
    return this.#servers.kill(server)
  }

  async freezeServer(server: ServerName): Promise<void> {
    this.#servers.signal(server, 'SIGSTOP')
  }

  startServer(server: ServerName): Promise<void> {
    return this.#servers.start(server)
  }

  async untilWriting(launch: GuestLaunch): Promise<void> {
    const said = () => {
      const path = this.#host.consoleLogPath(launch.guest)
      return existsSync(path) ? readFileSync(path, 'latin1') : ''
    }
    // The newest may be half written.
    const acknowledged = () =>
      Number(
        [
          ...said()
            .slice(-200)
            .matchAll(/ACK (\d+)/g),
        ].at(-2)?.[1] ?? 0,
      )
    const before = acknowledged()
    await until('further acknowledged records', () => acknowledged() >= before + 20).catch((error: unknown) => {
      throw new Error(`its console: ${said().slice(-500)}`, { cause: error })
    })
    assert.doesNotMatch(said(), /[WF]ERR/, 'the container saw an I/O error')
  }

  async crash(running: RunningGuest): Promise<void> {
    process.kill(running.pid, 'SIGKILL')
  }

  async restartAgent(): Promise<GuestHost> {
    this.#host.close()
    this.#host = this.#newHost()
    return this.#host
  }

  async close(): Promise<void> {
    const killed = await Promise.all(this.#launches.map(({ guest }) => this.#host.kill(guest)))
    this.#host.close()
    for (const name of ['a', 'b'] as const) await this.#servers.kill(name)
    const unmounted = await unmountLazily(join(this.#folder, 'containers'))
    rmSync(this.#folder, { recursive: true, force: true })
    for (const each of [...killed, unmounted]) must(each)
  }
}

await onBareHost(fileURLToPath(import.meta.url), () => {
  execFileSync('sh', ['-c', `ip link add ${BRIDGE} type bridge && ip link set ${BRIDGE} up`])
  guestHostContract('LXC', () => LxcHarness.make(), { hasMachine: false, resetsInPlace: false })
})
