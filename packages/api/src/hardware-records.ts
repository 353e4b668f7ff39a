/** The schemas of `core/model/hardware.ts`: limits, and what a host sees of a running guest's hardware. */
import type { VolumeId } from '@stead/core/model/ids.ts'
import { PACKETS_PER_SECOND_MAX, PACKETS_PER_SECOND_MIN } from '@stead/core/model/container-limits.ts'
import { z } from 'zod'

const positive = () => z.number().int().min(1).max(1e15)

export const diskLimitsSchema = z.object({
  operationsPerSecond: positive().exactOptional().describe('Reads and writes a second'),
  bytesPerSecond: positive().exactOptional().describe('Read and written, bytes a second'),
  burstOperationsPerSecond: positive().exactOptional().describe('Allowed for `burstSeconds` after a quieter time'),
  burstBytesPerSecond: positive().exactOptional().describe('Allowed for `burstSeconds` after a quieter time'),
  burstSeconds: z.number().int().min(1).max(3600).exactOptional().describe('Default 1'),
})

export const nicLimitsSchema = z.object({
  receiveBytesPerSecond: positive().exactOptional().describe('To the guest, bytes a second'),
  sendBytesPerSecond: positive().exactOptional().describe('From the guest, bytes a second'),
  sendPacketsPerSecond: z
    .number()
    .int()
    .min(PACKETS_PER_SECOND_MIN)
    .max(PACKETS_PER_SECOND_MAX)
    .exactOptional()
    .describe(
      'From the guest, packets a second; what is more is dropped. Absent of a container: its limit `packetrate`',
    ),
})

const bytes = () => z.number().int().min(0)

export const pendingChangeSchema = z.object({
  what: z.string().describe('`disk disk1`, `nic 1`, `memory`, `cpus`, `balloon`'),
  why: z.string().describe('Why the running guest does not have it'),
})

export const hardwareObservationSchema = z.object({
  volumes: z.array(z.object({ id: z.string() as unknown as z.ZodType<VolumeId, string>, sizeBytes: bytes() })),
  nics: z.array(z.object({ slot: z.number().int(), mac: z.string() })),
  memoryBytes: bytes(),
  addedMemoryBytes: bytes().exactOptional(),
  cpus: z.number().int(),
  memoryMaxBytes: bytes().exactOptional(),
  cpusMax: z.number().int().exactOptional(),
  balloonBytes: bytes().exactOptional(),
  pending: z.array(pendingChangeSchema),
})
