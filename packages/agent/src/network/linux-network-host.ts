/**
 * `NetworkHost` on Linux: one port a NIC on the bridge of its role, by `ip`, `bridge` and `tc` (iproute2), and what
 * it may send by `nft`. docs/internals/guest-isolation.md.
 */
import { failure } from '@stead/core/errors.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { NicLimits } from '@stead/core/model/hardware.ts'
import type { Nic } from '@stead/core/model/guest.ts'
import type { NetworkHost, NicIdentity, NicPace } from '@stead/core/ports/network-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { runProgram } from '../process/run-program.ts'
import { GuestIsolation } from './guest-isolation.ts'
import { detourOf, limitCommands } from './tap-limits.ts'

export interface LinuxNetworkHostOptions {
  /** Bridge of each role that carries guests. */
  readonly bridges?: Readonly<Record<Nic['network'], string>>
  /** Owner of the taps: whom QEMU runs as. */
  readonly user?: { readonly uid: number; readonly gid: number }
  /** The command that speaks for `ip` (its last word, in whose place `tc`, `bridge` and `nft` stand too); tests put another network namespace before it. */
  readonly ip?: readonly [string, ...string[]]
}

const COMMAND_TIMEOUT_MS = 5_000

type Program = 'ip' | 'tc' | 'bridge' | 'nft'

interface Link {
  readonly ifname: string
  readonly mtu: number
  readonly master?: string
}

export class LinuxNetworkHost implements NetworkHost {
  readonly #bridges: Readonly<Record<Nic['network'], string>>
  readonly #user: LinuxNetworkHostOptions['user']
  readonly #ip: readonly [string, ...string[]]
  readonly #isolation = new GuestIsolation({
    nft: (args, input) => this.#run(args, 'nft', input),
    ports: async () => {
      const links = await this.#links()
      return links.ok ? ok(links.value.map(({ ifname }) => ifname).filter(isGuestPort)) : links
    },
  })

  constructor(options: LinuxNetworkHostOptions = {}) {
    this.#bridges = options.bridges ?? { lan: 'lanbr0' }
    this.#user = options.user
    this.#ip = options.ip ?? ['ip']
  }

  portName(guest: GuestId, index: number): string {
    return tapName(guest, index)
  }

  async ensureTap(
    guest: GuestId,
    index: number,
    nic: Nic & NicPace,
    { arriving = false } = {},
  ): Promise<Result<string>> {
    const tap = tapName(guest, index)
    const bridgeName = this.#bridges[nic.network]
    // Before the tap is on the bridge: it is never there unfiltered.
    const [links, filtered] = await Promise.all([this.#links(), this.#isolation.set(tap, nic)])
    if (!links.ok) return links
    if (!filtered.ok) return filtered
    const bridge = links.value.find((link) => link.ifname === bridgeName)
    if (!bridge)
      return fail(
        failure('internal', `The host has no bridge ${bridgeName}`, {
          hint: `The ${nic.network} network of this host is not set up`,
        }),
      )
    if (!links.value.some((link) => link.ifname === tap)) {
      const owner = this.#user ? ['user', String(this.#user.uid), 'group', String(this.#user.gid)] : []
      const added = await this.#run(['tuntap', 'add', 'dev', tap, 'mode', 'tap', ...owner])
      if (!added.ok) return added
    }
    // Also for a tap that was there: an agent may have crashed between the two steps.
    const set = await this.#run(['link', 'set', 'dev', tap, 'mtu', String(bridge.mtu), 'master', bridgeName, 'up'])
    const listening = set.ok ? await this.#place(tap, nic.mac, arriving) : set
    if (listening.ok) return ok(tap)
    await this.#remove(tap)
    return listening
  }

  async isolate(guest: GuestId, index: number, identity: NicIdentity & NicPace): Promise<Result<void>> {
    const port = tapName(guest, index)
    const [links, filtered] = await Promise.all([this.#links(), this.#isolation.set(port, identity)])
    if (!filtered.ok) return filtered
    if (!links.ok) return links
    if (!links.value.some(({ ifname, master }) => ifname === port && master !== undefined)) return ok()
    return this.#place(port, identity.mac, false)
  }

  /**
   * A static entry does not age, so that nothing for a silent guest is ever flooded; yet it moves when the guest speaks
   * from elsewhere (only a sticky one would not). Of a guest that is on its way here the bridge learns by its first
   * frame: until then other guests on this host must reach it where it still is.
   */
  async #place(port: string, mac: string, arriving: boolean): Promise<Result<void>> {
    const hears = `link set dev ${port} flood off mcast_router 0`
    const text = arriving
      ? `${hears} learning on\n`
      : `fdb replace ${mac} dev ${port} master static\n${hears} learning off\n`
    const placed = await this.#run(['-batch', '-'], 'bridge', text)
    return placed.ok ? ok() : placed
  }

  /** Compares the filter with what it should be, and mends it. True: it was not. */
  verifyIsolation(): Promise<Result<boolean>> {
    return this.#isolation.verify()
  }

  /** By port: how many packets were more than its card may send. */
  droppedPackets(): Promise<Result<ReadonlyMap<string, number>>> {
    return this.#isolation.dropped()
  }

  async removeTap(guest: GuestId, index: number): Promise<Result<void>> {
    const links = await this.#links()
    if (!links.ok) return links
    const tap = tapName(guest, index)
    return this.#removePresent(
      links.value.filter(({ ifname }) => ifname === tap || ifname === detourOf(tap)),
      [tap],
    )
  }

  async limitTap(guest: GuestId, index: number, limits: NicLimits): Promise<Result<void>> {
    for (const { command, args, mayFail } of limitCommands(tapName(guest, index), limits)) {
      const done = await this.#run(args, command)
      if (!done.ok && !mayFail) return done
    }
    return ok()
  }

  async removeTaps(guest: GuestId): Promise<Result<void>> {
    const links = await this.#links()
    if (!links.ok) return links
    const devices = links.value.filter(({ ifname }) => isTapOf(guest, ifname.replace(/^sb/, 'st')))
    return this.#removePresent(devices, this.#isolation.portsOf(tapPrefix(guest)))
  }

  async #removePresent(devices: readonly Link[], ports: readonly string[]): Promise<Result<void>> {
    for (const { ifname } of devices) {
      const removed = await this.#remove(ifname)
      if (!removed.ok) return removed
    }
    const filtered = new Set([...ports, ...devices.map(({ ifname }) => ifname)].filter(isGuestPort))
    if (filtered.size === 0) return ok()
    const bridges = new Set(devices.flatMap(({ master }) => master ?? []))
    const macs = new Set([...filtered].flatMap((port) => this.#isolation.macOf(port) ?? []))
    for (const bridge of bridges) await this.#forget(bridge, macs)
    return this.#isolation.remove([...filtered])
  }

  /**
   * A guest that has moved has taken its static entries along to the port that leads to where it is now; there they
   * would stay for ever. A refusal means that it is so already, or that the guest has spoken from yet another port.
   */
  async #forget(bridge: string, macs: ReadonlySet<string>): Promise<void> {
    const shown = await this.#run(['-json', 'fdb', 'show', 'br', bridge, 'state', 'static'], 'bridge')
    if (!shown.ok) return
    for (const { mac, ifname } of JSON.parse(shown.value || '[]') as readonly { mac: string; ifname: string }[])
      if (macs.has(mac)) await this.#run(['fdb', 'del', mac, 'dev', ifname, 'master'], 'bridge')
  }

  /** A tap, a veth (its other end goes with it), or the detour of what a guest sends. */
  async #remove(device: string): Promise<Result<void>> {
    const removed = await this.#run(['link', 'del', 'dev', device])
    // A veth goes by itself with the container at its other end.
    return removed.ok || /Cannot find device/.test(removed.error.message) ? ok() : removed
  }

  async #links(): Promise<Result<readonly Link[]>> {
    const shown = await this.#run(['-json', 'link', 'show'])
    return shown.ok ? ok(JSON.parse(shown.value) as readonly Link[]) : shown
  }

  async #run(args: readonly string[], program: Program = 'ip', input = ''): Promise<Result<string>> {
    const [command = 'ip', ...prefix] = this.#ip.with(-1, program)
    const done = await runProgram(command, [...prefix, ...args], COMMAND_TIMEOUT_MS, { input })
    if (done.ok) return ok(done.value.output)
    return fail(failure('internal', `${program} ${args.join(' ')}: ${done.error.message}`))
  }
}

const IS_PORT = /^st[0-9a-f]{8}\d+$/

/** Whether a link leads to a guest. */
export function isGuestPort(ifname: string): boolean {
  return IS_PORT.test(ifname)
}

/** `st`, eight hexadecimal digits of the guest's id, the index: within the kernel's 15 characters. */
export function tapName(guest: GuestId, index: number): string {
  return `${tapPrefix(guest)}${index}`
}

function tapPrefix(guest: GuestId): string {
  return `st${guest.replaceAll('-', '').slice(0, 8)}`
}

export function isTapOf(guest: GuestId, ifname: string): boolean {
  return ifname.startsWith(tapPrefix(guest)) && /^\d+$/.test(ifname.slice(tapPrefix(guest).length))
}
