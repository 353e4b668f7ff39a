/** The part of QEMU's command line that makes the guest's platform; see docs/internals/platform.md. */
import type { GuestLaunch } from '@stead/core/ports/guest-host.ts'
import { topNode, type DiskRecord } from './block-graph.ts'
import { platformPlace } from './pci-places.ts'

const FIRMWARE_CODE = 'firmware-code'

/** What is said of the machine as a whole, after its type. */
export function machineProperties({ platform = {} }: GuestLaunch, disks: readonly DiskRecord[]): readonly string[] {
  const variables = disks.find((disk) => disk.role === 'firmware')
  if (!platform.firmware || !variables) return []
  return [
    `pflash0=${FIRMWARE_CODE}`,
    `pflash1=${topNode(variables.index)}`,
    // Only the firmware in system management mode may then write the variables that decide what is trusted.
    ...(platform.firmware.secureBoot ? ['smm=on'] : []),
  ]
}

export function platformArguments({ platform = {} }: GuestLaunch): string[] {
  const { firmware, watchdog } = platform
  return [...(firmware ? firmwareArguments(firmware) : []), ...(watchdog ? watchdogArguments(watchdog) : [])]
}

function firmwareArguments({ codePath, secureBoot }: { codePath: string; secureBoot: boolean }): string[] {
  const file = { driver: 'file', filename: codePath, 'read-only': true }
  const code = { driver: 'raw', 'node-name': FIRMWARE_CODE, 'read-only': true, file }
  return [
    ...['-blockdev', JSON.stringify(code)],
    ...(secureBoot ? ['-global', 'driver=cfi.pflash01,property=secure,value=on'] : []),
    // As OVMF's own documents want it: with suspend to memory, Secure Boot's protection of the variables has a hole.
    ...['-global', 'ICH9-LPC.disable_s3=1'],
  ]
}

/**
 * QEMU's own `poweroff` ends the process without a flush. So the guest is stopped, and the agent switches it off in
 * order (`QemuGuest`).
 */
function watchdogArguments(action: NonNullable<NonNullable<GuestLaunch['platform']>['watchdog']>): string[] {
  return [
    ...['-device', `i6300esb,id=watchdog,${platformPlace('watchdog')}`],
    ...['-action', `watchdog=${action === 'poweroff' ? 'pause' : action}`],
  ]
}
