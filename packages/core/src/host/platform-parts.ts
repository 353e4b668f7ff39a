/** What of a guest's platform is this host's own: the paths of files, devices, processors and memory nodes. */
import type { Guest } from '../model/guest.ts'
import { HUGE_PAGES } from '../model/platform.ts'
import type { LaunchPlatform } from '../ports/guest-host.ts'
import { ok, type Result } from '../result.ts'
import type { HostContext } from './host-context.ts'

/** Nothing for a guest with an ordinary machine. */
export async function platformParts(
  { blobPath, hostDevices }: HostContext,
  { id, platform, cpus: count }: Guest,
): Promise<Result<{ readonly platform?: LaunchPlatform }>> {
  if (platform === undefined) return ok({})
  const { firmware, watchdog, tpm, hugePages, dedicatedCpus, numaNodes = 1, devices: classes } = platform
  const code = firmware && (await blobPath(firmware.code))
  if (code && !code.ok) return code
  const devices = classes && (await hostDevices.claim(id, classes))
  if (devices && !devices.ok) return devices
  const cpus = dedicatedCpus ? await hostDevices.claimCpus(id, count) : undefined
  if (cpus && !cpus.ok) return cpus
  const memory = hugePages !== undefined || numaNodes > 1
  return ok({
    platform: {
      ...(firmware && code ? { firmware: { codePath: code.value, secureBoot: firmware.secureBoot } } : {}),
      ...(watchdog === undefined ? {} : { watchdog }),
      ...(tpm ? { tpm } : {}),
      ...(devices ? { devices: devices.value } : {}),
      ...(cpus ? { cpus: cpus.value } : {}),
      ...(memory
        ? {
            memory: {
              nodes: numaNodes,
              hostNodes: numaNodes > 1 ? await hostDevices.memoryNodes() : [],
              ...(hugePages === undefined ? {} : { pageBytes: HUGE_PAGES[hugePages] }),
            },
          }
        : {}),
    },
  })
}
