/**
 * A network card's limits as the kernel's traffic control. What goes to the guest leaves the host by its tap, where HTB
 * shapes it; what comes from the guest can only be shaped after a detour through an `ifb` device of its own. Pure: the
 * commands in their order.
 */
import type { NicLimits } from '@stead/core/model/hardware.ts'

export interface LimitCommand {
  readonly command: 'ip' | 'tc'
  readonly args: readonly string[]
  /** A refusal means that it is so already. */
  readonly mayFail?: true
}

/** Bytes that may pass at once: a whole offloaded packet, and what fits into 10 ms. */
const BURST_BYTES_MIN = 128 << 10

/** Of `st<guest><slot>`, `sb<guest><slot>`: within the kernel's 15 characters too. */
export function detourOf(tap: string): string {
  return tap.replace(/^st/, 'sb')
}

export function limitCommands(tap: string, { receiveBytesPerSecond, sendBytesPerSecond }: NicLimits): LimitCommand[] {
  const detour = detourOf(tap)
  const receive: LimitCommand[] =
    receiveBytesPerSecond === undefined
      ? [{ command: 'tc', args: ['qdisc', 'del', 'dev', tap, 'root'], mayFail: true }]
      : shape(tap, receiveBytesPerSecond)
  const send: LimitCommand[] =
    sendBytesPerSecond === undefined
      ? [
          { command: 'tc', args: ['qdisc', 'del', 'dev', tap, 'ingress'], mayFail: true },
          { command: 'ip', args: ['link', 'del', detour], mayFail: true },
        ]
      : [
          { command: 'ip', args: ['link', 'add', detour, 'type', 'ifb'], mayFail: true },
          { command: 'ip', args: ['link', 'set', detour, 'up'] },
          ...shape(detour, sendBytesPerSecond),
          { command: 'tc', args: ['qdisc', 'add', 'dev', tap, 'handle', 'ffff:', 'ingress'], mayFail: true },
          // A fixed handle: repeated, it is replaced and not doubled.
          {
            command: 'tc',
            args: [
              ...['filter', 'replace', 'dev', tap, 'parent', 'ffff:', 'protocol', 'all', 'prio', '1'],
              ...['handle', '800::1', 'u32', 'match', 'u32', '0', '0'],
              ...['action', 'mirred', 'egress', 'redirect', 'dev', detour],
            ],
          },
        ]
  return [...receive, ...send]
}

/** All in one class, whose rate is changed in place: nothing that waits is lost. */
function shape(device: string, bytesPerSecond: number): LimitCommand[] {
  const burst = Math.max(BURST_BYTES_MIN, Math.ceil(bytesPerSecond / 100))
  const rate = ['rate', `${bytesPerSecond * 8}bit`, 'burst', String(burst), 'cburst', String(burst)]
  return [
    {
      command: 'tc',
      args: ['qdisc', 'add', 'dev', device, 'root', 'handle', '1:', 'htb', 'default', '1'],
      mayFail: true,
    },
    { command: 'tc', args: ['class', 'replace', 'dev', device, 'parent', '1:', 'classid', '1:1', 'htb', ...rate] },
  ]
}
