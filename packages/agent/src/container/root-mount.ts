/** What the kernel says of a mounted root: the device below it and, of a subvolume, its quota. */
import { statSync } from 'node:fs'
import { deviceOf } from './container-mounts.ts'
import { mountAt, qgroupOf, type QuotaFigures } from '../subvolumes/qgroup-figures.ts'

/** `major:minor` of the disk that its control groups' limits of I/O are about. Of a file system on several: the first. */
export function blockDeviceOf(root: string): string {
  const device = deviceOf(root)
  if (!device.startsWith('0:')) return device
  const source = mountAt(root)?.source
  if (source === undefined) return device
  const { rdev } = statSync(source)
  return `${(rdev >> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >> 12) & 0xfff00)}`
}

/** Of a root that is mounted; undefined where the kernel keeps none. */
export function quotaOf(root: string): QuotaFigures | undefined {
  const mount = mountAt(root)
  return mount?.subvolumeId === undefined ? undefined : qgroupOf(mount.source, mount.subvolumeId)
}
