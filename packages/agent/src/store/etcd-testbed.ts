/** For system tests: three real etcd members on loopback, each behind a small proxy that can cut and swallow. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { assert } from '@stead/core/assert.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { freePorts } from '../free-port-fixture.ts'
import { realClock } from '../real-clock.ts'
import { etcdStatus } from './etcd-cluster.ts'

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silentLog }

const START_LIMIT_MS = 20_000

/** Forwards one port to one member. */
export class FaultyProxy {
  readonly #server: Server
  readonly #targetPort: number
  readonly #sockets = new Set<Socket>()
  readonly #stalled = new WeakSet<Socket>()
  #cut = false
  #swallowsAnswers = false

  private constructor(server: Server, targetPort: number) {
    this.#server = server
    this.#targetPort = targetPort
    server.on('connection', (socket) => this.#forward(socket))
  }

  static async start(targetPort: number): Promise<FaultyProxy> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new FaultyProxy(server, targetPort)
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Closes every connection and refuses new ones until `heal`. */
  cut(): void {
    this.#cut = true
    this.#dropConnections()
  }

  /** Requests still arrive at the member; what it answers is thrown away. */
  swallowAnswers(): void {
    this.#swallowsAnswers = true
  }

  /** The present connections carry nothing any more and stay open, as after a peer's power cut; new ones work. */
  stallConnections(): void {
    for (const socket of this.#sockets) this.#stalled.add(socket)
  }

  heal(): void {
    if (this.#swallowsAnswers) this.#dropConnections()
    this.#cut = false
    this.#swallowsAnswers = false
  }

  stop(): void {
    this.#server.close()
    this.#dropConnections()
  }

  #dropConnections(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#sockets.clear()
  }

  #forward(client: Socket): void {
    if (this.#cut) {
      client.destroy()
      return
    }
    const member = connect(this.#targetPort, '127.0.0.1')
    for (const [socket, peer] of [
      [client, member],
      [member, client],
    ] as const) {
      this.#sockets.add(socket)
      socket.setNoDelay(true)
      // A broken connection is what these tests are about: it ends its other half and nothing more.
      socket.on('error', () => peer.destroy())
      socket.on('close', () => {
        this.#sockets.delete(socket)
        peer.destroy()
      })
    }
    client.on('data', (bytes) => {
      if (!this.#stalled.has(client)) member.write(bytes)
    })
    member.on('data', (bytes) => {
      if (!this.#swallowsAnswers && !this.#stalled.has(client)) client.write(bytes)
    })
  }
}

export class TestMember {
  readonly clientPort: number
  readonly #arguments: readonly string[]
  readonly #logPath: string
  #process: ChildProcess | undefined

  constructor(folder: string, name: string, clientPort: number, peerPort: number, initialCluster: string) {
    this.clientPort = clientPort
    this.#logPath = join(folder, `${name}.log`)
    const [clientUrl, peerUrl] = [`http://127.0.0.1:${clientPort}`, `http://127.0.0.1:${peerPort}`]
    this.#arguments = [
      ...['--name', name, '--data-dir', join(folder, name), '--initial-cluster', initialCluster],
      ...['--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl],
      ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
      ...['--heartbeat-interval', '50', '--election-timeout', '500', '--pre-vote'],
      ...['--grpc-keepalive-min-time', '1s', '--logger', 'zap', '--log-level', 'warn'],
    ]
  }

  get address(): string {
    return `127.0.0.1:${this.clientPort}`
  }

  start(): void {
    if (this.#process) return
    const log = openSync(this.#logPath, 'a')
    this.#process = spawn('etcd', this.#arguments, { stdio: ['ignore', log, log] })
    closeSync(log)
  }

  freeze(): void {
    this.#process?.kill('SIGSTOP')
  }

  thaw(): void {
    this.#process?.kill('SIGCONT')
  }

  async kill(): Promise<void> {
    const running = this.#process
    if (!running) return
    this.#process = undefined
    const ended = once(running, 'exit')
    running.kill('SIGKILL')
    await ended
  }

  /** Without waiting, for the end of the test's own process. */
  killNow(): void {
    this.#process?.kill('SIGKILL')
  }
}

export class EtcdTestbed {
  readonly members: readonly TestMember[]
  readonly proxies: readonly FaultyProxy[]
  readonly #folder: string
  readonly #onExit: () => void

  private constructor(folder: string, members: readonly TestMember[], proxies: readonly FaultyProxy[]) {
    this.#folder = folder
    this.members = members
    this.proxies = proxies
    this.#onExit = () => {
      for (const member of members) member.killNow()
      rmSync(folder, { recursive: true, force: true })
    }
    process.on('exit', this.#onExit)
  }

  static async start(): Promise<EtcdTestbed> {
    const folder = mkdtempSync(join(tmpdir(), 'stead-etcd-'))
    const ports = await freePorts(6)
    const peers = ports.slice(3)
    const initialCluster = peers.map((port, i) => `m${i}=http://127.0.0.1:${port}`).join(',')
    const members = peers.map((peer, i) => new TestMember(folder, `m${i}`, ports[i] ?? 0, peer, initialCluster))
    const proxies = await Promise.all(members.map(({ clientPort }) => FaultyProxy.start(clientPort)))
    const testbed = new EtcdTestbed(folder, members, proxies)
    for (const member of members) member.start()
    await testbed.untilHealthy()
    return testbed
  }

  /** Heals everything and waits until all members follow one leader. */
  async restore(): Promise<void> {
    for (const proxy of this.proxies) proxy.heal()
    for (const member of this.members) {
      member.thaw()
      member.start()
    }
    await this.untilHealthy()
  }

  /** The member that leads now; the first answer of any member that knows. */
  async leader(): Promise<TestMember> {
    const statuses = await this.#statuses()
    const leaderId = statuses.find((status) => status && status.leader !== 0n)?.leader
    const leader = this.members[statuses.findIndex((status) => status?.memberId === leaderId)]
    assert(leader, 'the test cluster has a leader')
    return leader
  }

  async untilHealthy(): Promise<void> {
    const deadline = performance.now() + START_LIMIT_MS
    for (;;) {
      const leaders = new Set((await this.#statuses()).map((status) => status?.leader ?? 0n))
      if (leaders.size === 1 && !leaders.has(0n)) return
      assert(performance.now() < deadline, `the etcd members found no leader within ${START_LIMIT_MS} ms`)
      await delay(50)
    }
  }

  async stop(): Promise<void> {
    for (const proxy of this.proxies) proxy.stop()
    await Promise.all(this.members.map((member) => member.kill()))
    process.off('exit', this.#onExit)
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #statuses() {
    return Promise.all(
      this.members.map(async ({ address }) => {
        const status = await etcdStatus(address, { clock: realClock, log: silentLog })
        return status.ok ? status.value : undefined
      }),
    )
  }
}
