/** The schemas of what the store holds about snapshots; see `records.ts`. */
import { SNAPSHOTS_MAX, type SnapshotId } from '@stead/core/model/snapshot.ts'
import type { GuestLaunch } from '@stead/core/ports/guest-host.ts'
import { z } from 'zod'
import { bytes, epoch, guestId, hostId, id, volumeId, wallMs } from './record-values.ts'

export const snapshotId = id<SnapshotId>("A snapshot's UUID without dashes")

export const snapshotScheduleSchema = z.object({
  everyMs: z.number().int().min(60_000).describe('Time between two snapshots, ms; at least a minute'),
  keep: z.number().int().min(1).max(SNAPSHOTS_MAX).describe('How many of them are kept'),
  memory: z.boolean().exactOptional().describe("Each with the guest's memory, as long as that can be kept"),
  lastAt: wallMs('When the last one was asked for').exactOptional(),
})

const memorySchema = z.object({
  volume: volumeId,
  hosts: z.array(hostId).describe('Those that have the image'),
  bytes: bytes('Size of the image'),
  digest: z.string().describe('`sha256:` and 64 hexadecimal digits'),
  takenOn: hostId,
  qemuVersion: z.string().exactOptional(),
  launch: z
    .custom<GuestLaunch>((value) => typeof value === 'object' && value !== null)
    .describe('What the guest ran with, as its host wrote it: read only by a host that starts it'),
})

const consistency = z.enum(['crash', 'filesystem'])

export const snapshotSchema = z.object({
  id: snapshotId,
  guest: guestId,
  name: z.string().describe("Unique among the guest's snapshots"),
  createdAt: wallMs('When it was taken'),
  state: z.enum(['wanted', 'cutting', 'ready', 'rolling-back']),
  cutter: z
    .object({ host: hostId, epoch, life: z.string() })
    .exactOptional()
    .describe('Who is making it; found by anybody else it is undone'),
  wanted: consistency.describe('What was asked for'),
  consistent: consistency.describe('What it became; meaningful once it is ready'),
  volumes: z.array(z.object({ volume: volumeId, sizeBytes: bytes('Size of the disk'), hosts: z.array(hostId) })),
  scheduled: z.boolean().describe("Taken by the guest's schedule, which also removes it"),
  startAfter: z.boolean().exactOptional().describe('While rolling back: the guest runs again afterwards'),
  withMemory: z.boolean().exactOptional().describe("The guest's memory is asked for too"),
  memory: memorySchema.exactOptional().describe("The guest's memory at that moment"),
  withoutMemory: z.boolean().exactOptional().describe('While rolling back: the guest boots afterwards'),
})
