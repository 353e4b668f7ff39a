/** What of a guest's platform is this host's own: the paths of files. */
import type { Guest } from '../model/guest.ts'
import type { LaunchPlatform } from '../ports/guest-host.ts'
import { ok, type Result } from '../result.ts'
import type { HostContext } from './host-context.ts'

/** Nothing for a guest with an ordinary machine. */
export async function platformParts(
  { blobPath }: HostContext,
  { platform }: Guest,
): Promise<Result<{ readonly platform?: LaunchPlatform }>> {
  if (platform === undefined) return ok({})
  const { firmware, watchdog } = platform
  const code = firmware && (await blobPath(firmware.code))
  if (code && !code.ok) return code
  return ok({
    platform: {
      ...(firmware && code ? { firmware: { codePath: code.value, secureBoot: firmware.secureBoot } } : {}),
      ...(watchdog === undefined ? {} : { watchdog }),
    },
  })
}
