/**
 * Two hosts with real LXC and CRIU, each with namespaces and control groups of its own and an agent's process in them, a cable
 * between them, and two qemu-storage-daemons that hold the replicas of both. To be used on a bare host only.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { GuestHost, GuestLaunch, RunningGuest } from '@stead/core/ports/guest-host.ts'
import type { GuestMigration } from '@stead/core/ports/guest-migration.ts'
import { must } from '@stead/sim/contract/guest-host-contract.ts'
import type { GuestMigrationHarness, HostName, MigrationHost } from '@stead/sim/contract/guest-migration-contract.ts'
import type { MoveStep } from '@stead/sim/guest-faults.ts'
import { EpochServers } from '../../qemu/epoch-servers-fixture.ts'
import { makeBareHost, type BareHost } from '../bare-host-fixture.ts'
import { until } from '../lxc-fixture.ts'
import { BLOCK_BYTES, containerLaunch, DISK_BYTES, rootFor, volumeOf } from '../lxc-launch-fixture.ts'
import type { HostControl } from './container-host-main.ts'
import { callsOf } from './process-calls-fixture.ts'

const MAIN = join(import.meta.dirname, 'container-host-main.ts')
const ADDRESSES = { here: '10.9.0.1', there: '10.9.0.2' } as const
const NAMES = ['here', 'there'] as const
/** So that what is done while it copies is done while it copies. */
const DUMP_SECONDS_MIN = 0.5
const MAGIC = Buffer.from('STEADREC')

interface Host extends MigrationHost {
  readonly control: HostControl
  readonly process: ChildProcess
  readonly bare: BareHost
}

export class TwoHosts implements GuestMigrationHarness {
  readonly knowsPostCopy = false
  readonly runsWhileCopied = false
  readonly outlivesAgents = false
  readonly hosts: Readonly<Record<HostName, Host>>
  readonly #folder: string
  readonly #servers: EpochServers
  readonly #launches: GuestLaunch[] = []

  private constructor(criu: string) {
    this.#folder = mkdtempSync(join(tmpdir(), 'stead-two-'))
    // The front's user passes through to its sockets.
    chmodSync(this.#folder, 0o711)
    const wrapper = join(this.#folder, 'criu')
    const script = `#!/bin/sh
if [ "$1" = restore ] && rm ${this.#failing('restore')}; then exit 1; fi 2>/dev/null
[ "$1" = dump ] || exec ${criu} "$@"
${criu} "$@" && sleep ${DUMP_SECONDS_MIN} && ! rm ${this.#failing('dump')} 2>/dev/null
`
    writeFileSync(wrapper, script, { mode: 0o755 })
    this.#servers = new EpochServers(this.#folder, DISK_BYTES, 'unix')
    this.hosts = { here: this.#boot('here', wrapper), there: this.#boot('there', wrapper) }
  }

  static async up(criu: string): Promise<TwoHosts> {
    const hosts = new TwoHosts(criu)
    try {
      await hosts.#servers.start()
      await hosts.#connect()
      for (const name of NAMES) assert.deepEqual(await hosts.hosts[name].guests.adopt(), [])
      return hosts
    } catch (error) {
      await hosts.close()
      throw error
    }
  }

  #boot(name: HostName, criu: string): Host {
    mkdirSync(join(this.#folder, name), { mode: 0o711 })
    const bare = makeBareHost(name)
    const [program, ...args] = bare.argv([process.execPath, MAIN, join(this.#folder, name), criu])
    const child = spawn(program, args, {
      env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...bare.env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    })
    const calls = callsOf(child)
    const [guests, migration] = [calls<GuestHost>('guests'), calls<GuestMigration>('migration')]
    const control = calls<HostControl>('control')
    return { address: ADDRESSES[name], guests, migration, control, process: child, bare }
  }

  async #connect(): Promise<void> {
    // An answer tells that it is in its own namespace.
    for (const name of NAMES) await this.hosts[name].guests.adopt()
    execFileSync('ip', ['link', 'add', 'to-here', 'type', 'veth', 'peer', 'name', 'to-there'])
    for (const [name, link] of [
      ['here', 'to-there'],
      ['there', 'to-here'],
    ] as const) {
      const { process: child, control, address } = this.hosts[name]
      execFileSync('ip', ['link', 'set', link, 'netns', String(child.pid)])
      await control.connect(link, address)
    }
  }

  async guest(): Promise<GuestLaunch> {
    const volume = randomUUID().replaceAll('-', '') as VolumeId
    await this.#servers.create(volume, rootFor('write'))
    const launch = containerLaunch('writer', await this.#servers.serve(volume, 1))
    this.#launches.push(launch)
    return launch
  }

  async open(launch: GuestLaunch, epoch: number): Promise<GuestLaunch> {
    return { ...launch, epoch, disks: [await this.#servers.serve(volumeOf(launch), epoch)] }
  }

  closeBelow(launch: GuestLaunch, epoch: number): Promise<void> {
    return this.#servers.closeBelow(volumeOf(launch), epoch)
  }

  #console(host: HostName, { guest }: GuestLaunch): string {
    const path = join(this.#folder, host, guest, 'console.log')
    return existsSync(path) ? readFileSync(path, 'latin1') : ''
  }

  async untilWriting(host: HostName, launch: GuestLaunch): Promise<void> {
    const acknowledged = () => this.#console(host, launch).match(/ACK \d+/g)?.length ?? 0
    const before = acknowledged()
    await until('further acknowledged records', () => acknowledged() >= before + 20).catch((error: unknown) => {
      throw new Error(`its console ${host}: ${this.#console(host, launch).slice(-500)}`, { cause: error })
    })
    assert.doesNotMatch(this.#console(host, launch), /[WF]ERR/, 'the container saw an I/O error')
  }

  written(launch: GuestLaunch): number {
    return Math.min(...this.#servers.images(volumeOf(launch)).map((image) => lastRecordIn(readFileSync(image))))
  }

  boots(host: HostName, launch: GuestLaunch): number {
    return this.#console(host, launch).split('RESUME').length - 1
  }

  /** A dump fails when all processes are written down, and stopped. */
  failNext(step: MoveStep): void {
    writeFileSync(this.#failing(step), '')
  }

  #failing(step: MoveStep): string {
    return join(this.#folder, `no-${step}`)
  }

  crash(host: HostName, { pid }: RunningGuest): Promise<void> {
    return this.hosts[host].control.kill(pid)
  }

  restartAgent(host: HostName): Promise<void> {
    return this.hosts[host].control.restartAgent()
  }

  async close(): Promise<void> {
    const hosts = NAMES.map((name) => this.hosts[name])
    const alive = hosts.filter(({ process: { exitCode, signalCode } }) => exitCode === null && signalCode === null)
    const kill = ({ guest }: GuestLaunch) => alive.map(({ guests }) => guests.kill(guest))
    const killed = await Promise.all(this.#launches.flatMap(kill))
    const gone = alive.map(({ process: child }) => once(child, 'exit'))
    for (const { process: child } of alive) child.kill('SIGKILL')
    await Promise.all(gone)
    await this.#servers.stop()
    for (const { bare } of hosts) must(await bare.remove())
    rmSync(this.#folder, { recursive: true, force: true })
    for (const each of killed) must(each)
  }
}

/** The recorder's highest number in an image whose blocks are as large as a record. */
function lastRecordIn(image: Buffer): number {
  let last = 0
  for (let at = 0; at < image.length; at += BLOCK_BYTES)
    if (image.compare(MAGIC, 0, MAGIC.length, at, at + MAGIC.length) === 0)
      last = Math.max(last, Number(image.readBigUInt64LE(at + MAGIC.length)))
  return last
}
