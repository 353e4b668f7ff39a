/**
 * What the mirror's benchmark runs on: two network namespaces joined by a cable of their own, a storage daemon for each
 * replica, and writers. Every process dies with this one (PR_SET_PDEATHSIG), and a namespace that no process holds is
 * removed by the kernel, so nothing is left behind even after SIGKILL, except the temporary folder.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** One replica as QEMU's block layer names it. */
export interface Leg {
  readonly driver: 'nbd'
  readonly export: string
  readonly server:
    | { readonly type: 'unix'; readonly path: string }
    | { readonly type: 'inet'; readonly host: string; readonly port: string }
}

/** The block graph of a volume: one leg, or a quorum of two under a raw node, exactly as the agent builds it. */
export type VolumeGraph = Leg | { readonly driver: 'raw'; readonly file: unknown }

export function mirrorOf(first: Leg, second: Leg): VolumeGraph {
  const quorum = { driver: 'quorum', children: [first, second], 'vote-threshold': 2, 'read-pattern': 'fifo' }
  return { driver: 'raw', file: quorum }
}

export interface RigOptions {
  /** Volumes prepared, each with a replica of `bytes` on both sides. */
  readonly volumes: number
  readonly bytes: number
  /** How the replicas are reached: TCP (loopback and a veth pair), or unix sockets, as QEMU's own figures were taken. */
  readonly transport: 'cable' | 'socket'
  /** Of the cable between the two hosts. */
  readonly mtuBytes: number
  /** TCP congestion control of both namespaces; undefined leaves the machine's default. */
  readonly congestion: string | undefined
  /** SCHED_BATCH for the storage daemons: they are not preempted on each wake-up, and take more requests per wake-up. */
  readonly batch: boolean
  readonly aio: 'native' | 'io_uring' | 'threads'
  /**
   * An iothread for each export. Off: with it a storage daemon of QEMU 10.0.2 ended with SIGABRT in several runs while
   * 2 to 8 clients came and went, never without it (the cause is not known). That takes every replica of the pool with it.
   */
  readonly iothreads: boolean
}

const ADDRESS = { local: '10.99.0.1', remote: '10.99.0.2' }
const LOOPBACK = '127.0.0.1'
const PORT = 10809
const START_ATTEMPTS = 200
const CLOCK_TICK_MS = 10

export class MirrorRig {
  readonly folder: string
  readonly #children: ChildProcess[] = []
  #local = 0
  #remote = 0
  /** What the storage daemons have said, for the error that follows from it. */
  #complaints = ''
  readonly #localServer: Leg['server']
  readonly #remoteServer: Leg['server']
  /** Process ids of the storage daemons: [local, remote]. */
  readonly storage: [number, number] = [0, 0]

  private constructor(folder: string, transport: RigOptions['transport']) {
    this.folder = folder
    const at = (host: string) => ({ type: 'inet', host, port: String(PORT) }) as const
    // As the product does it: the host's own replica over the loopback, the other one over the cable.
    this.#localServer = transport === 'cable' ? at(LOOPBACK) : { type: 'unix', path: join(folder, 'local.sock') }
    this.#remoteServer =
      transport === 'cable' ? at(ADDRESS.remote) : { type: 'unix', path: join(folder, 'remote.sock') }
  }

  static async create(options: RigOptions): Promise<MirrorRig> {
    const rig = new MirrorRig(mkdtempSync(join(tmpdir(), 'stead-bench-')), options.transport)
    // Not `once`: a second signal (timeout(1) sends two) would end the process in the middle of the removal.
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, rig.#abandon)
    try {
      await rig.#layCable(options)
      await rig.#startStorage(options)
    } catch (cause) {
      await rig.close()
      throw cause
    }
    return rig
  }

  legs(volume: number): { local: Leg; remote: Leg } {
    const name = `vol-${volume}-e1`
    return {
      local: { driver: 'nbd', export: name, server: this.#localServer },
      remote: { driver: 'nbd', export: name, server: this.#remoteServer },
    }
  }

  /** Starts a process inside the local host's namespace. */
  start(command: readonly string[], side: 'local' | 'remote' = 'local'): ChildProcess {
    const holder = side === 'local' ? this.#local : this.#remote
    const enter = holder === 0 ? [] : ['nsenter', `--net=/proc/${holder}/ns/net`]
    const line = [...enter, 'setpriv', '--pdeathsig', 'KILL', ...command]
    const child = spawn(line[0] as string, line.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#children.push(child)
    return child
  }

  /** The processes end with this one; only the folder is left to remove. */
  readonly #abandon = (): void => {
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
    process.exit(130)
  }

  async close(): Promise<void> {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, this.#abandon)
    for (const child of this.#children.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) continue
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await gone
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }

  async #layCable(options: RigOptions): Promise<void> {
    // `cat` ends when its input closes, which happens when this process ends for any reason.
    const [local, remote] = [this.start(['unshare', '--net', 'cat']), this.start(['unshare', '--net', 'cat'])]
    const own = readNamespace('self')
    for (const holder of [local, remote])
      await until(`a network namespace`, () => ![own, undefined].includes(readNamespace(String(holder.pid))))
    this.#local = local.pid as number
    this.#remote = remote.pid as number
    await this.run(['ip', 'link', 'add', 'ran', 'type', 'veth', 'peer', 'name', 'ran', 'netns', String(this.#remote)])
    for (const side of ['local', 'remote'] as const) {
      await this.run(['ip', 'address', 'add', `${ADDRESS[side]}/24`, 'dev', 'ran'], side)
      await this.run(['ip', 'link', 'set', 'ran', 'mtu', String(options.mtuBytes), 'up'], side)
      await this.run(['ip', 'link', 'set', 'lo', 'up'], side)
      if (options.congestion !== undefined)
        await this.run(['sysctl', '-qw', `net.ipv4.tcp_congestion_control=${options.congestion}`], side)
    }
  }

  async #startStorage(options: RigOptions): Promise<void> {
    for (const [index, side] of (['local', 'remote'] as const).entries()) {
      const command = options.batch ? ['chrt', '--batch', '0', 'qemu-storage-daemon'] : ['qemu-storage-daemon']
      const path = join(this.folder, `${side}.sock`)
      const onSocket = options.transport === 'socket'
      for (let volume = 0; volume < options.volumes; volume++) {
        const file = join(this.folder, `${side}-${volume}.raw`)
        await writeZeros(file, options.bytes)
        const name = `file-${volume}`
        if (options.iothreads) command.push('--object', `iothread,id=io-${volume},poll-max-ns=0`)
        command.push('--blockdev', `driver=file,node-name=${name},filename=${file},cache.direct=on,aio=${options.aio}`)
        command.push('--blockdev', `driver=raw,node-name=raw-${volume},file=${name}`)
      }
      const address = onSocket
        ? `addr.type=unix,addr.path=${path}`
        : `addr.type=inet,addr.host=${side === 'local' ? LOOPBACK : ADDRESS.remote},addr.port=${PORT}`
      command.push('--nbd-server', address)
      for (let volume = 0; volume < options.volumes; volume++)
        command.push(
          '--export',
          `type=nbd,id=e-${volume},node-name=raw-${volume},name=vol-${volume}-e1,writable=on${options.iothreads ? `,iothread=io-${volume}` : ''}`,
        )
      const daemon = this.start(command, side)
      this.storage[index] = daemon.pid as number
      daemon.stderr?.on('data', (chunk: Buffer) => (this.#complaints += chunk.toString()))
      daemon.once(
        'exit',
        (code, signal) => (this.#complaints += `the ${side} storage daemon ended: ${code ?? signal}\n`),
      )
      if (onSocket) await until('a storage daemon', () => existsSync(path), daemon)
      else await this.#untilListening(daemon, side)
    }
  }

  async #untilListening(daemon: ChildProcess, side: 'local' | 'remote'): Promise<void> {
    for (let attempt = 0; attempt < START_ATTEMPTS; attempt++) {
      const listening = await this.run(['ss', '-Hltn', `sport = :${PORT}`], side)
      if (listening.includes(String(PORT))) return
      if (daemon.exitCode !== null) break
      await sleep(25)
    }
    throw new Error(`the ${side} storage daemon did not start: ${this.#complaints}`)
  }

  /** Runs a command to its end and returns what it printed; throws when it failed. */
  async run(command: readonly string[], side: 'local' | 'remote' = 'local', limitMs = 60_000): Promise<string> {
    const child = this.start(command, side)
    const timer = setTimeout(() => child.kill('SIGKILL'), limitMs)
    let output = ''
    child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()))
    const code = await new Promise<number | null>((resolve, reject) =>
      child.once('close', resolve).once('error', reject),
    )
    clearTimeout(timer)
    this.#children.splice(this.#children.indexOf(child), 1)
    if (code !== 0) throw new Error(`${command.join(' ')}: exit ${code}: ${output}${this.#complaints}`)
    return output
  }
}

/** Processor time used so far by a process and all its threads, in milliseconds (granularity 10 ms). */
export function processorTimeMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MS
}

/** Real zeros: a first write into unallocated or unwritten space measures the file system instead of the mirror. */
async function writeZeros(file: string, bytes: number): Promise<void> {
  const block = Buffer.alloc(Math.min(bytes, 4 << 20))
  const handle = await open(file, 'w')
  try {
    for (let at = 0; at < bytes; at += block.length)
      await handle.write(block, 0, Math.min(block.length, bytes - at), at)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function readNamespace(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`)
  } catch {
    // The process is only starting.
    return undefined
  }
}

async function until(what: string, holds: () => boolean, child?: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < START_ATTEMPTS; attempt++) {
    if (holds()) return
    if (child !== undefined && child.exitCode !== null) break
    await sleep(25)
  }
  throw new Error(`${what} did not come up`)
}
