/**
 * One more address of this host's LAN port, for a time that the kernel itself ends: `valid_lft`. So it goes without this
 * process, which may be stopped, or dead, when the time is over.
 */
import { BlockList } from 'node:net'
import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { runProgram } from '../process/run-program.ts'

/** What holds an address on the LAN. */
export interface LanAddress {
  /** Whether it is of the network of this host's LAN port, and no address of that port by itself. */
  canHold(address: string): boolean
  /** From now on, or further on, for whole seconds. */
  hold(address: string, seconds: number): Promise<Result<void>>
  /** Absent: harmless. */
  release(address: string): Promise<Result<void>>
  /** Tells everybody on the LAN where the address is now. */
  announce(address: string): void
}

const PROGRAM_MS = 2_000
/** `ip` says so when the kernel refuses, as it does to delete what is not there. */
const KERNEL_REFUSED = 2

export class LinuxLanAddress implements LanAddress {
  readonly #own: string | undefined
  readonly #framePort: string

  /** `own`: the address that the host always has on its LAN. */
  constructor(own: string | undefined, nativeDir: string) {
    this.#own = own
    this.#framePort = join(nativeDir, 'frame-port')
  }

  canHold(address: string): boolean {
    const port = this.#port()
    if (!port?.info.cidr || address === this.#own) return false
    const [network = '', length] = port.info.cidr.split('/')
    const lan = new BlockList()
    lan.addSubnet(network, Number(length), 'ipv4')
    return lan.check(address, 'ipv4')
  }

  async hold(address: string, seconds: number): Promise<Result<void>> {
    const port = this.#port()
    if (!port) return fail(failure('internal', `No port of this host has its LAN address ${this.#own}`))
    // Of no network of its own: no route and no choice of a source address ever depends on it.
    const [of, life] = [`${address}/32`, String(seconds)]
    const times = ['valid_lft', life, 'preferred_lft', life]
    const done = await runProgram('ip', ['address', 'replace', of, 'dev', port.name, ...times], PROGRAM_MS)
    return done.ok ? ok() : done
  }

  async release(address: string): Promise<Result<void>> {
    const port = this.#port()
    if (!port) return ok()
    const args = ['address', 'delete', `${address}/32`, 'dev', port.name]
    const done = await runProgram('ip', args, PROGRAM_MS, { accepted: [0, KERNEL_REFUSED] })
    if (!done.ok) return done
    const isThere = networkInterfaces()[port.name]?.some((info) => info.address === address) === true
    return isThere ? fail(failure('internal', `${address} cannot be taken from ${port.name}`)) : ok()
  }

  announce(address: string): void {
    const port = this.#port()
    if (!port) return
    // One that is lost is followed by others.
    void runProgram(this.#framePort, ['--send', port.name], PROGRAM_MS, {
      input: `${gratuitousArp(port.info.mac, address)}\n`,
    })
  }

  #port(): { readonly name: string; readonly info: NetworkInterfaceInfo } | undefined {
    for (const [name, list] of Object.entries(networkInterfaces())) {
      const info = list?.find(({ address }) => address === this.#own)
      if (info) return { name, info }
    }
    return undefined
  }
}

/** To all, a question for the address by who has it: whoever knows another place for it takes this one. RFC 5227, 3. */
export function gratuitousArp(mac: string, address: string): string {
  const [here, ip] = [mac.replaceAll(':', ''), Buffer.from(address.split('.').map(Number)).toString('hex')]
  return `ffffffffffff${here}0806${'0001080006040001'}${here}${ip}000000000000${ip}`
}
