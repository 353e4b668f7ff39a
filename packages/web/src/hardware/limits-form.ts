/** Limits of disks and network cards: as people fill them in, and as the API takes them. '' stands for none. */
import type { GuestView } from '@stead/api/views.ts'

const MIB = 2 ** 20
const MEGABIT = 1_000_000 / 8

export type DiskLimits = NonNullable<GuestView['volumes'][number]['limits']>
export type NicLimits = NonNullable<GuestView['nics'][number]['limits']>
export type Amount = number | ''

export interface DiskLimitsForm {
  readonly iops: Amount
  readonly mibPerSecond: Amount
  readonly burstIops: Amount
  readonly burstMibPerSecond: Amount
  readonly burstSeconds: Amount
}

export function diskLimitsForm(limits: DiskLimits = {}): DiskLimitsForm {
  return {
    iops: limits.operationsPerSecond ?? '',
    mibPerSecond: scaled(limits.bytesPerSecond, MIB),
    burstIops: limits.burstOperationsPerSecond ?? '',
    burstMibPerSecond: scaled(limits.burstBytesPerSecond, MIB),
    burstSeconds: limits.burstSeconds ?? '',
  }
}

export function diskLimitsOf(form: DiskLimitsForm): DiskLimits {
  const { iops, mibPerSecond, burstIops, burstMibPerSecond, burstSeconds } = form
  return {
    ...(iops === '' ? {} : { operationsPerSecond: iops }),
    ...(mibPerSecond === '' ? {} : { bytesPerSecond: Math.round(mibPerSecond * MIB) }),
    ...(burstIops === '' ? {} : { burstOperationsPerSecond: burstIops }),
    ...(burstMibPerSecond === '' ? {} : { burstBytesPerSecond: Math.round(burstMibPerSecond * MIB) }),
    ...(burstSeconds === '' ? {} : { burstSeconds }),
  }
}

/** Network cards are thought of in megabits a second. */
export interface NicLimitsForm {
  readonly receiveMbit: Amount
  readonly sendMbit: Amount
  readonly sendPackets: Amount
}

export function nicLimitsForm(limits: NicLimits = {}): NicLimitsForm {
  return {
    receiveMbit: scaled(limits.receiveBytesPerSecond, MEGABIT),
    sendMbit: scaled(limits.sendBytesPerSecond, MEGABIT),
    sendPackets: limits.sendPacketsPerSecond ?? '',
  }
}

export function nicLimitsOf({ receiveMbit, sendMbit, sendPackets }: NicLimitsForm): NicLimits {
  return {
    ...(receiveMbit === '' ? {} : { receiveBytesPerSecond: Math.round(receiveMbit * MEGABIT) }),
    ...(sendMbit === '' ? {} : { sendBytesPerSecond: Math.round(sendMbit * MEGABIT) }),
    ...(sendPackets === '' ? {} : { sendPacketsPerSecond: sendPackets }),
  }
}

/** What an input for numbers has given. */
export function amountOf(value: string | number): Amount {
  return value === '' ? '' : Number(value)
}

function scaled(value: number | undefined, unit: number): Amount {
  return value === undefined ? '' : Math.round((value / unit) * 1_000) / 1_000
}
