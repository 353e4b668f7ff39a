/**
 * One UDP socket for each own address. While all is well the networks take turns, so that three networks cost as little
 * as one and each still shows within three rounds that it works; at the first doubt every round goes out on all.
 */
import { createSocket, type Socket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import type { Log } from '@stead/core/ports/log.ts'
import type { GuardianPeer } from './guardian-config.ts'

const BIND_RETRY_MS = 1000
/**
 * Rounds between two whose outcome is asked for. UDP promises nothing, so a failure only matters for the log, and a
 * callback for each packet costs as much as sending it.
 */
const ROUNDS_PER_CHECK = 50

/** A network that is down fails every packet; its log line is written once until it works again. */
interface NetworkSocket {
  readonly role: string
  readonly address: string
  socket: Socket | undefined
  retry: NodeJS.Timeout | undefined
  lastTrouble: string
}

export interface HeartbeatSocketsOptions {
  readonly addresses: Readonly<Record<string, string>>
  readonly port: number
  readonly onPacket: (network: string, packet: Buffer) => void
  readonly log: Log
}

export class HeartbeatSockets {
  readonly #options: HeartbeatSocketsOptions
  readonly #networks: NetworkSocket[] = []
  #closed = false
  #round = 0
  #turn = 0

  constructor(options: HeartbeatSocketsOptions) {
    this.#options = options
    const taken = new Set<string>()
    for (const [role, address] of Object.entries(options.addresses)) {
      // Two roles on one address are one network: a second socket could not be bound, and would prove nothing.
      if (taken.has(address)) continue
      taken.add(address)
      const network: NetworkSocket = { role, address, socket: undefined, retry: undefined, lastTrouble: '' }
      this.#networks.push(network)
      this.#open(network)
    }
  }

  /** Sends all of them to every peer that has an address there: on the network whose turn it is, or on all. */
  send(packets: readonly Buffer[], peers: readonly GuardianPeer[], on: 'next-network' | 'all-networks'): void {
    const isChecked = this.#round++ % ROUNDS_PER_CHECK < this.#networks.length
    for (const network of on === 'all-networks' ? this.#networks : this.#nextNetwork()) {
      const { socket, role } = network
      if (!socket) continue
      const check = isChecked ? (error: Error | null) => this.#note(network, error) : undefined
      for (const peer of peers) {
        const address = peer.addresses[role]
        if (address === undefined) continue
        for (const packet of packets) socket.send(packet, peer.port, address, check)
      }
    }
  }

  /** A network that is down does not use up a turn. */
  #nextNetwork(): readonly NetworkSocket[] {
    const open = this.#networks.filter((network) => network.socket !== undefined)
    const next = open[this.#turn++ % Math.max(1, open.length)]
    return next ? [next] : []
  }

  close(): void {
    this.#closed = true
    for (const network of this.#networks) {
      clearTimeout(network.retry)
      network.socket?.close()
      network.socket = undefined
    }
  }

  #open(network: NetworkSocket): void {
    const type = isIPv6(network.address) ? 'udp6' : 'udp4'
    // Addresses are IPs already: the default lookup would go through dns for every packet.
    const socket = createSocket({ type, lookup: (host, _options, done) => done(null, host, type === 'udp6' ? 6 : 4) })
    socket.on('error', (error) => {
      this.#note(network, error)
      network.socket = undefined
      socket.removeAllListeners()
      socket.close()
      // The address may appear later: an interface that is still coming up.
      if (!this.#closed) network.retry = setTimeout(() => this.#open(network), BIND_RETRY_MS)
    })
    socket.on('message', (packet) => this.#options.onPacket(network.role, packet))
    socket.bind({ port: this.#options.port, address: network.address, exclusive: true }, () => {
      if (this.#closed) socket.close()
      else network.socket = socket
    })
  }

  #note(network: NetworkSocket, error: Error | null): void {
    const trouble = error ? ((error as NodeJS.ErrnoException).code ?? error.message) : ''
    if (trouble === network.lastTrouble) return
    network.lastTrouble = trouble
    const fields = { network: network.role, address: network.address }
    if (trouble) this.#options.log.warn('heartbeats cannot be sent on this network', { ...fields, trouble })
    else this.#options.log.info('heartbeats are sent on this network again', fields)
  }
}
