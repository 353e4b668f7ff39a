/**
 * CD drives of a guest's QEMU: their part of the command line, and the change of a medium while the guest runs.
 *
 * The drive for installation media sits on the chipset's own AHCI controller, which every system can read and every
 * firmware can boot from. cloud-init's seed sits behind virtio, since Debian's cloud kernel has no AHCI driver.
 */
import { failure } from '@stead/core/errors.ts'
import type { GuestCdrom } from '@stead/core/ports/guest-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { LaunchRecord } from './launch-record.ts'
import type { Monitor } from './mirror-surgery.ts'
import { platformPlace } from './pci-places.ts'

const STEP_MS_MAX = 2_000

export function cdromArguments(cdroms: readonly GuestCdrom[]): string[] {
  return cdroms.flatMap((drive) => [
    ...(drive.path === undefined ? [] : ['-blockdev', JSON.stringify(mediumBlockdev(drive.id, 0, drive.path))]),
    ...(drive.bus === 'sata' ? [] : ['-device', `virtio-scsi-pci,id=scsi,${platformPlace('scsi')}`]),
    '-device',
    [
      drive.bus === 'sata' ? `ide-cd,bus=ide.0,unit=0` : `scsi-cd,bus=scsi.0`,
      `id=${drive.id}`,
      ...(drive.path === undefined ? [] : [`drive=${mediumNode(drive.id, 0)}`]),
      ...(drive.bootIndex === undefined ? [] : [`bootindex=${drive.bootIndex}`]),
    ].join(','),
  ])
}

/** Puts a file into a drive, or none, unless it is so already. The value is the launch record that tells of it. */
export async function changedMedium(
  monitor: Monitor,
  record: LaunchRecord,
  drive: GuestCdrom['id'],
  path: string | undefined,
): Promise<Result<LaunchRecord>> {
  const { launch, mediaChanges = 0 } = record
  const known = launch.cdroms?.find(({ id }) => id === drive)
  if (!known) return fail(failure('not_found', `${launch.name} has no drive ${drive}`))
  if (known.path === path) return ok(record)
  const exchanged = await exchangeMedium(monitor, drive, path, mediaChanges + 1)
  if (!exchanged.ok) return exchanged
  const { path: _old, ...empty } = known
  const next = path === undefined ? empty : { ...empty, path }
  const cdroms = (launch.cdroms ?? []).map((each) => (each.id === drive ? next : each))
  return ok({ ...record, mediaChanges: mediaChanges + 1, launch: { ...launch, cdroms } })
}

/** Puts a file in, or none. `number` has never been used for a medium of this drive in this run. */
async function exchangeMedium(
  monitor: Monitor,
  drive: GuestCdrom['id'],
  path: string | undefined,
  number: number,
): Promise<Result<void>> {
  const present = await mediumIn(monitor, drive)
  if (!present.ok) return present
  // Opened first: a file that cannot be leaves the drive as it is.
  const added = path === undefined ? ok() : await monitor.execute('blockdev-add', mediumBlockdev(drive, number, path))
  if (!added.ok) return added
  // Forced: the administrator wants another medium, whatever the guest is doing with this one.
  const steps: readonly (readonly [command: string, args: object])[] = [
    ['blockdev-open-tray', { id: drive, force: true }],
    ...(present.value === undefined ? [] : [['blockdev-remove-medium', { id: drive }] as const]),
    ...(path === undefined
      ? []
      : [['blockdev-insert-medium', { id: drive, 'node-name': mediumNode(drive, number) }] as const]),
    ['blockdev-close-tray', { id: drive }],
    ...(present.value === undefined ? [] : [['blockdev-del', { 'node-name': present.value }] as const]),
  ]
  for (const [command, args] of steps) {
    const done = await monitor.execute(command, args, STEP_MS_MAX)
    if (!done.ok) return done
  }
  return ok()
}

/** The node of the medium that lies in the drive; undefined when it is empty. */
async function mediumIn(monitor: Monitor, drive: string): Promise<Result<string | undefined>> {
  const reply = await monitor.execute<readonly QemuBlockDevice[]>('query-block')
  if (!reply.ok) return reply
  const device = reply.value.find(({ qdev }) => qdev === drive)
  if (!device) return fail(failure('not_found', `The machine has no drive ${drive}`))
  return ok(device.inserted?.['node-name'])
}

interface QemuBlockDevice {
  readonly qdev?: string
  readonly inserted?: { readonly 'node-name'?: string }
}

function mediumNode(drive: string, number: number): string {
  return `${drive}-medium${number}`
}

function mediumBlockdev(drive: string, number: number, path: string): Record<string, unknown> {
  return {
    driver: 'raw',
    'node-name': mediumNode(drive, number),
    'read-only': true,
    file: { driver: 'file', filename: path, 'read-only': true },
  }
}
