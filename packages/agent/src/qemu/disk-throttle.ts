/**
 * A disk's limits as QEMU's throttling of the device: set live, asked back from `query-block`, and not part of what a
 * migration carries, so that the host that runs the guest sets them whenever they differ.
 */
import type { DiskLimits } from '@stead/core/model/hardware.ts'
import { deviceId } from './block-graph.ts'

/** Of `query-block`; a figure of 0 means none. */
export interface BlockDeviceInfo {
  readonly inserted?: {
    readonly 'node-name'?: string
    readonly image?: { readonly 'virtual-size'?: number }
    readonly iops?: number
    readonly bps?: number
    readonly iops_max?: number
    readonly bps_max?: number
    readonly iops_max_length?: number
    readonly bps_max_length?: number
  }
}

/** Arguments of `block_set_io_throttle`. The back end is named, since the limits belong to that part of the device. */
export function throttleArguments(disk: number, limits: DiskLimits): Record<string, unknown> {
  const { operationsPerSecond, bytesPerSecond, burstOperationsPerSecond, burstBytesPerSecond, burstSeconds } = limits
  return {
    id: `/machine/peripheral/${deviceId(disk)}/virtio-backend`,
    iops: operationsPerSecond ?? 0,
    iops_rd: 0,
    iops_wr: 0,
    bps: bytesPerSecond ?? 0,
    bps_rd: 0,
    bps_wr: 0,
    // A burst needs a limit that it exceeds.
    ...(operationsPerSecond && burstOperationsPerSecond
      ? { iops_max: burstOperationsPerSecond, iops_max_length: burstSeconds ?? 1 }
      : {}),
    ...(bytesPerSecond && burstBytesPerSecond
      ? { bps_max: burstBytesPerSecond, bps_max_length: burstSeconds ?? 1 }
      : {}),
  }
}

/** What is in force, in the same words. */
export function limitsFrom(device: BlockDeviceInfo | undefined): DiskLimits {
  const { iops, bps, iops_max, bps_max, iops_max_length, bps_max_length } = device?.inserted ?? {}
  const burstSeconds = iops && iops_max ? iops_max_length : bps && bps_max ? bps_max_length : undefined
  return {
    ...(iops ? { operationsPerSecond: iops } : {}),
    ...(bps ? { bytesPerSecond: bps } : {}),
    ...(iops && iops_max ? { burstOperationsPerSecond: iops_max } : {}),
    ...(bps && bps_max ? { burstBytesPerSecond: bps_max } : {}),
    ...(burstSeconds !== undefined && burstSeconds > 1 ? { burstSeconds } : {}),
  }
}
