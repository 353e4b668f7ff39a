/** The contract on real QEMU with two real qemu-storage-daemons: `a` by unix socket, `b` by TCP. No network in the guests. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
  closeSync,
  ftruncateSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type { GuestDisk, GuestEvent, GuestHost, GuestLaunch, Leg } from '@stead/core/ports/guest-host.ts'
import type { Log } from '@stead/core/ports/log.ts'
import {
  guestHostContract,
  must,
  type GuestBehaviour,
  type GuestHostHarness,
  type ServerName,
} from '@stead/sim/contract/guest-host-contract.ts'
import { readPidFile, readStat } from '../process/detached.ts'
import { bootSector, lastNumberIn } from './boot-sector.ts'
import { QemuGuestHost } from './qemu-guest-host.ts'
import { ReplicaServers } from './replica-servers-fixture.ts'

const HELPER = resolve(import.meta.dirname, '../../../../.native/bin/stead-run-guest')
const DISK_BYTES = 16 << 20
/** Any unprivileged user; nothing needs to know it. */
const GUEST_USER = process.getuid?.() === 0 ? { uid: 64_055, gid: 64_055 } : undefined
const BOUND_MS = 20_000

const quietLog: Log = {
  debug: noteTime,
  info: noteTime,
  warn: () => undefined,
  error: () => undefined,
  with: () => quietLog,
}
const times = new Map<string, number[]>()
function noteTime(message: string, fields?: Readonly<Record<string, unknown>>): void {
  if (typeof fields?.['ms'] === 'number') times.set(message, [...(times.get(message) ?? []), fields['ms']])
}

after(() => {
  for (const [name, values] of times) {
    const sorted = values.toSorted((a, b) => a - b)
    console.log(`# ${name}: median ${sorted[sorted.length >> 1]} ms, worst ${sorted.at(-1)} ms, n=${sorted.length}`)
  }
})

class RealHarness implements GuestHostHarness {
  readonly folder: string
  readonly servers: ReplicaServers
  #host: QemuGuestHost
  readonly #launches: GuestLaunch[] = []

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'stead-vm-'))
    // The guests' user passes through to its sockets.
    chmodSync(this.folder, 0o711)
    this.servers = new ReplicaServers(this.folder, DISK_BYTES)
    this.#host = this.#newHost()
  }

  #newHost(): QemuGuestHost {
    return new QemuGuestHost({
      guestsFolder: join(this.folder, 'guests'),
      helper: HELPER,
      log: quietLog,
      ...(GUEST_USER ? { user: GUEST_USER } : {}),
    })
  }

  get host(): QemuGuestHost {
    return this.#host
  }

  async guest(behaviour: GuestBehaviour, hosts: readonly ServerName[] = ['a', 'b']): Promise<GuestLaunch> {
    const guest = randomUUID() as GuestId
    const volume = randomUUID().replaceAll('-', '') as VolumeId
    await this.servers.addVolume(volume, contentFor(behaviour))
    const disk = { volume, sizeBytes: DISK_BYTES, width: 2, legs: hosts.map((host) => this.servers.leg(host, volume)) }
    const launch: GuestLaunch = {
      guest,
      name: behaviour,
      epoch: 1,
      memoryBytes: 32 << 20,
      cpus: 1,
      boot: { kind: 'disk' },
      disks: [disk],
      nics: [],
      accelerator: 'tcg',
    }
    this.#launches.push(launch)
    return launch
  }

  async disk(slot: number): Promise<GuestDisk & { readonly slot: number }> {
    const volume = randomUUID().replaceAll('-', '') as VolumeId
    await this.servers.addVolume(volume, contentFor('idle'))
    const legs = (['a', 'b'] as const).map((host) => this.servers.leg(host, volume))
    return { volume, sizeBytes: DISK_BYTES, width: 2, legs, slot }
  }

  leg(launch: GuestLaunch, server: ServerName): Leg {
    return this.servers.leg(server, volumeOf(launch))
  }

  serveLarger(launch: GuestLaunch, sizeBytes: number): Promise<void> {
    return this.servers.serveLarger(volumeOf(launch), sizeBytes)
  }

  killServer(server: ServerName): Promise<void> {
    return this.servers.kill(server)
  }

  async freezeServer(server: ServerName): Promise<void> {
    this.servers.signal(server, 'SIGSTOP')
  }

  startServer(server: ServerName): Promise<void> {
    return this.servers.start(server)
  }

  /** What the guest has said: `.` for every acknowledged write, `E` for an error. */
  console(launch: GuestLaunch): string {
    const path = this.#host.consoleLogPath(launch.guest)
    return existsSync(path) ? readFileSync(path, 'latin1') : ''
  }

  acknowledged(launch: GuestLaunch): number {
    return this.console(launch).split('.').length - 1
  }

  async untilWriting(launch: GuestLaunch): Promise<void> {
    const before = this.acknowledged(launch)
    await until(() => this.acknowledged(launch) >= before + 20, 'further acknowledged writes')
    assert.ok(!this.console(launch).includes('E'), 'the guest saw an I/O error')
  }

  async crash(running: { readonly pid: number }): Promise<void> {
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
    for (const name of ['a', 'b'] as const) await this.servers.kill(name)
    rmSync(this.folder, { recursive: true, force: true })
    for (const each of killed) must(each)
  }
}

/** What boots from a sector hears of no device that is to be given back. */
function contentFor(behaviour: GuestBehaviour): Buffer {
  return bootSector(behaviour === 'deaf' ? 'idle' : behaviour)
}

async function realHarness(): Promise<RealHarness> {
  const harness = new RealHarness()
  try {
    await harness.servers.start('a')
    await harness.servers.start('b')
    return harness
  } catch (error) {
    await harness.close()
    throw error
  }
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + BOUND_MS
  while (!condition()) {
    assert.ok(performance.now() < deadline, `waited too long for ${what}`)
    await sleep(5)
  }
}

function volumeOf(launch: GuestLaunch): VolumeId {
  const disk = launch.disks[0]
  assert.ok(disk)
  return disk.volume
}

guestHostContract('QEMU', realHarness)

describe('QEMU as a guest host', () => {
  let harness: RealHarness

  beforeEach(async () => {
    harness = await realHarness()
  })
  afterEach(() => harness.close())

  it('runs unprivileged and sandboxed', { skip: GUEST_USER ? false : 'needs root to give up' }, async () => {
    const launch = await harness.guest('idle')
    const { pid } = must(await harness.host.start(launch))
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const line = (name: string) => new RegExp(`^${name}:[\\t ]*(.*)$`, 'm').exec(status)?.[1]
    const uid = String(GUEST_USER?.uid)
    assert.equal(line('Uid'), [uid, uid, uid, uid].join('\t'))
    assert.equal(line('Groups')?.trim(), '')
    assert.equal(line('Seccomp'), '2')
    assert.equal(line('NoNewPrivs'), '1')
    assert.equal(line('CapEff'), '0000000000000000')
  })

  it('has every acknowledged write on both replicas after each loss and after a rejoin', async () => {
    const { host, servers } = harness
    const launch = await harness.guest('write')
    const volume = volumeOf(launch)
    must(await host.start(launch))
    await harness.untilWriting(launch)
    const lost = ioError(host)
    await servers.kill('b')
    await lost
    const acknowledged = harness.acknowledged(launch)
    const onB = lastNumberIn(readFileSync(servers.image('b', volume)))
    assert.ok(onB >= acknowledged, `b has ${onB}, acknowledged ${acknowledged}`)

    must(await host.dropLeg(launch.guest, volume, 'b'))
    must(await host.resume(launch.guest))
    await harness.untilWriting(launch)
    await servers.start('b')
    must(await host.prepareLeg(launch.guest, volume, harness.leg(launch, 'b')))
    must(await host.pause(launch.guest))
    must(await host.drainAndFlush(launch.guest, volume))
    copyOnto(servers.image('a', volume), servers.image('b', volume))
    must(await host.attachLeg(launch.guest, volume, 'b'))
    must(await host.resume(launch.guest))
    const rejoined = performance.now()
    // Right after an I/O error QEMU may hold back the news of another one, so that no end counts as clean.
    while (performance.now() < rejoined + 1_000) await harness.untilWriting(launch)
    assert.deepEqual(must(await host.quit(launch.guest)), { flushed: true })
    assert.deepEqual(readFileSync(servers.image('a', volume)), readFileSync(servers.image('b', volume)))
    assert.ok(lastNumberIn(readFileSync(servers.image('a', volume))) >= harness.acknowledged(launch))
  })

  it('keeps the console of the boot before', async () => {
    const launch = await harness.guest('write')
    must(await harness.host.start(launch))
    await harness.untilWriting(launch)
    must(await harness.host.start({ ...launch, epoch: 2 }))
    await harness.untilWriting(launch)
    const previous = readFileSync(
      harness.host.consoleLogPath(launch.guest).replace('console.log', 'console.1.log'),
      'latin1',
    )
    assert.match(previous, /^B\.+/)
  })

  it('finds a QEMU whose start was cut short by a crash of the agent', async () => {
    const launch = await harness.guest('write')
    const { pid } = must(await harness.host.start(launch))
    const pidFile = join(harness.folder, 'guests', launch.guest, 'qemu.pid')
    assert.equal(readPidFile(pidFile)?.pid, pid)
    rmSync(pidFile)
    const second = await harness.restartAgent()
    assert.equal((await second.adopt())[0]?.pid, pid)

    rmSync(join(harness.folder, 'guests', launch.guest, 'launch.json'))
    const third = await harness.restartAgent()
    assert.deepEqual(await third.adopt(), [], 'without its record nobody can tell which leg is which: it is killed')
    assert.ok([undefined, 'Z'].includes(readStat(pid)?.state))
  })

  it('says why QEMU did not start', async () => {
    const launch = await harness.guest('idle')
    const failed = await harness.host.start({
      ...launch,
      boot: { kind: 'kernel', kernelPath: '/does/not/exist', append: '' },
    })
    assert.ok(!failed.ok)
    assert.match(failed.error.message, /kernel/)
  })

  it('runs a disk with one replica', async () => {
    const { host, servers } = harness
    const launch = await harness.guest('write', ['a'])
    const alone = { ...launch, disks: launch.disks.map((disk) => ({ ...disk, width: 1 })) }
    must(await host.start(alone))
    await harness.untilWriting(alone)
    must(await host.drainAndFlush(launch.guest, volumeOf(launch)))
    const lost = ioError(host)
    await servers.kill('a')
    await lost
    const dropped = await host.dropLeg(launch.guest, volumeOf(launch), 'a')
    assert.equal(dropped.ok ? '' : dropped.error.code, 'conflict')
  })

  it('finishes the shutdown of a guest that went down while no agent was there', async () => {
    const launch = await harness.guest('shutdown')
    const { host } = harness
    const { pid } = must(await host.start(launch))
    const second = await harness.restartAgent()
    const exited = new Promise<GuestEvent>((resolve) =>
      second.subscribe((event) => event.kind === 'exited' && resolve(event)),
    )
    await until(() => harness.console(launch).startsWith('B'), 'the guest to boot')
    // Long enough for it to be down in most runs; both orders must end alike.
    await sleep(50)
    assert.equal((await second.adopt())[0]?.pid, pid)
    const event = await exited
    assert.ok(event.kind === 'exited')
    assert.deepEqual([event.cause, event.flushed], ['guest-shutdown', true])
  })

  it('is reconnected when its monitor closes', async () => {
    const launch = await harness.guest('write')
    const { host } = harness
    must(await host.start(launch))
    const second = await harness.restartAgent()
    const [first, again] = [await second.adopt(), await second.adopt()]
    assert.equal(first[0]?.status, 'running')
    assert.deepEqual(first, again)
    assert.equal((await host.inspect(launch.guest)).ok, false, 'the agent that was closed has let go')
  })
})

function ioError(host: GuestHost): Promise<void> {
  return new Promise((resolve) => {
    const off = host.subscribe((event) => {
      if (event.kind !== 'io-error') return
      off()
      resolve()
    })
  })
}

/** In place: the server has the target open. */
function copyOnto(from: string, to: string): void {
  const file = openSync(to, 'r+')
  writeSync(file, readFileSync(from), 0)
  ftruncateSync(file, DISK_BYTES)
  closeSync(file)
}
