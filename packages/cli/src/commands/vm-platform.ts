/** Options of `vm create` for what a guest's machine is made with. */
import type { Command } from 'commander'
import type { PlatformRequest } from '@stead/api/platform-records.ts'
import type { GuestView } from '@stead/api/views.ts'
import { WATCHDOG_ACTIONS, type WatchdogAction } from '@stead/core/model/platform.ts'
import { badArgument, parseCount } from '../quantities.ts'

const repeated = (text: string, before: readonly string[] | undefined) => [...(before ?? []), text]

export function addPlatformOptions(command: Command): Command {
  return command
    .option('--firmware <kind>', 'bios, uefi or uefi-secure (Secure Boot)')
    .option('--tpm', 'a TPM 2.0')
    .option('--watchdog <action>', 'reset, poweroff, pause or none when the guest does not feed its watchdog')
    .option('--huge-pages <size>', 'memory on pages of 2M or 1G, which the host must have free')
    .option('--dedicated-cpus', 'a processor of the host for each of its own')
    .option('--numa-nodes <n>', 'divides its memory and processors into nodes')
    .option('--device <class>', 'a device of the host, such as gpu/nvidia-l4; may be repeated', repeated)
}

export function platformFrom(options: Readonly<Record<string, unknown>>): { platform?: PlatformRequest } {
  const text = (name: string) => (typeof options[name] === 'string' ? options[name] : undefined)
  const [firmware, hugePages, watchdog, numaNodes] = ['firmware', 'hugePages', 'watchdog', 'numaNodes'].map(text)
  const classes = Array.isArray(options['device']) ? (options['device'] as string[]) : []
  const devices: Record<string, number> = {}
  for (const name of classes) devices[name] = (devices[name] ?? 0) + 1
  const platform: PlatformRequest = {
    ...(firmware === undefined ? {} : { firmware: oneOf('--firmware', firmware, ['bios', 'uefi', 'uefi-secure']) }),
    ...(options['tpm'] === true ? { tpm: true } : {}),
    ...(watchdog === undefined ? {} : { watchdog: parseWatchdog(watchdog) }),
    ...(hugePages === undefined ? {} : { hugePages: oneOf('--huge-pages', hugePages, ['2M', '1G']) }),
    ...(options['dedicatedCpus'] === true ? { dedicatedCpus: true } : {}),
    ...(numaNodes === undefined ? {} : { numaNodes: parseCount(numaNodes, '--numa-nodes') }),
    ...(classes.length === 0 ? {} : { devices }),
  }
  return Object.keys(platform).length === 0 ? {} : { platform }
}

export function parseWatchdog(text: string): WatchdogAction {
  return oneOf('--watchdog', text, WATCHDOG_ACTIONS)
}

function oneOf<const Word extends string>(option: string, text: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === text)
  if (found === undefined) throw badArgument(`${option}: \`${text}\` is not one of ${words.join(', ')}`)
  return found
}

/** For `vm show`: only what is out of the ordinary. */
export function platformFields({ platform }: GuestView): [string, string | null][] {
  const { firmware, tpm, watchdog, hugePages, dedicatedCpus, numaNodes, devices, whyNotMigratable } = platform
  const held = Object.entries(devices).map(([name, count]) => (count === 1 ? name : `${count} ${name}`))
  return [
    ['firmware', firmware === 'bios' ? null : firmware],
    ['tpm', tpm ? '2.0' : null],
    ['watchdog', watchdog],
    ['huge pages', hugePages],
    ['processors', dedicatedCpus ? 'of its own' : null],
    ['numa nodes', numaNodes === 1 ? null : String(numaNodes)],
    ['devices', held.join(', ')],
    ['cannot move running', whyNotMigratable],
  ]
}
