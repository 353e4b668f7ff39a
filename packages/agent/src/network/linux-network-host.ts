/** `NetworkHost` on Linux: one tap device a NIC, on the bridge of its role, by `ip` (iproute2). */
import { execFile } from 'node:child_process'
import { failure } from '@stead/core/errors.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { NicLimits } from '@stead/core/model/hardware.ts'
import type { Nic } from '@stead/core/model/guest.ts'
import type { NetworkHost } from '@stead/core/ports/network-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { detourOf, limitCommands } from './tap-limits.ts'

export interface LinuxNetworkHostOptions {
  /** Bridge of each role that carries guests. */
  readonly bridges?: Readonly<Record<Nic['network'], string>>
  /** Owner of the taps: whom QEMU runs as. */
  readonly user?: { readonly uid: number; readonly gid: number }
  /** The command that speaks for `ip` (its last word, in whose place `tc` stands too); tests put another network namespace before it. */
  readonly ip?: readonly [string, ...string[]]
}

const COMMAND_TIMEOUT_MS = 5_000

interface Link {
  readonly ifname: string
  readonly mtu: number
  readonly master?: string
}

export class LinuxNetworkHost implements NetworkHost {
  readonly #bridges: Readonly<Record<Nic['network'], string>>
  readonly #user: LinuxNetworkHostOptions['user']
  readonly #ip: readonly [string, ...string[]]

  constructor(options: LinuxNetworkHostOptions = {}) {
    this.#bridges = options.bridges ?? { lan: 'lanbr0' }
    this.#user = options.user
    this.#ip = options.ip ?? ['ip']
  }

  portName(guest: GuestId, index: number): string {
    return tapName(guest, index)
  }

  async ensureTap(guest: GuestId, index: number, nic: Nic): Promise<Result<string>> {
    const tap = tapName(guest, index)
    const bridgeName = this.#bridges[nic.network]
    const links = await this.#links()
    if (!links.ok) return links
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
    if (set.ok) return ok(tap)
    await this.#remove(tap)
    return set
  }

  async removeTap(guest: GuestId, index: number): Promise<Result<void>> {
    const links = await this.#links()
    if (!links.ok) return links
    const tap = tapName(guest, index)
    return this.#removePresent(
      links.value.map(({ ifname }) => ifname).filter((name) => name === tap || name === detourOf(tap)),
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
    const names = links.value.map(({ ifname }) => ifname)
    return this.#removePresent(names.filter((name) => isTapOf(guest, name.replace(/^sb/, 'st'))))
  }

  async #removePresent(devices: readonly string[]): Promise<Result<void>> {
    for (const device of devices) {
      const removed = await this.#remove(device)
      if (!removed.ok) return removed
    }
    return ok()
  }

  /** A tap, or the detour of what a guest sends. */
  async #remove(device: string): Promise<Result<void>> {
    const removed = await this.#run(
      device.startsWith('sb') ? ['link', 'del', device] : ['tuntap', 'del', 'dev', device, 'mode', 'tap'],
    )
    return removed.ok ? ok() : removed
  }

  async #links(): Promise<Result<readonly Link[]>> {
    const shown = await this.#run(['-json', 'link', 'show'])
    return shown.ok ? ok(JSON.parse(shown.value) as readonly Link[]) : shown
  }

  #run(args: readonly string[], program: 'ip' | 'tc' = 'ip'): Promise<Result<string>> {
    const [command = 'ip', ...prefix] = this.#ip.with(-1, program)
    return new Promise((resolve) => {
      execFile(
        command,
        [...prefix, ...args],
        { timeout: COMMAND_TIMEOUT_MS, maxBuffer: 16 << 20, killSignal: 'SIGKILL' },
        (error, stdout, stderr) => {
          if (!error) resolve(ok(stdout))
          else
            resolve(
              fail(
                failure('internal', `${program} ${args.join(' ')}: ${stderr.trim() || error.message}`, {
                  cause: error,
                }),
              ),
            )
        },
      )
    })
  }
}

/** `st`, eight hexadecimal digits of the guest's id, the index: within the kernel's 15 characters. */
export function tapName(guest: GuestId, index: number): string {
  return `${tapPrefix(guest)}${index}`
}

function tapPrefix(guest: GuestId): string {
  return `st${guest.replaceAll('-', '').slice(0, 8)}`
}

function isTapOf(guest: GuestId, ifname: string): boolean {
  return ifname.startsWith(tapPrefix(guest)) && /^\d+$/.test(ifname.slice(tapPrefix(guest).length))
}
