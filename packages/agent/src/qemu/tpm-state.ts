/**
 * How the state of a TPM lies on its volume: in two halves, written in turn, each with a number that grows and a digest.
 * A write that was cut off leaves the other half.
 */
import { createHash } from 'node:crypto'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

export const TPM_VOLUME_BYTES = 1 << 20
const SLOT_BYTES = TPM_VOLUME_BYTES / 2
const HEADER_BYTES = 512
const SECTOR_BYTES = 512

export interface TpmState {
  readonly generation: number
  readonly content: Buffer
}

export function slotOffset(generation: number): number {
  return (generation % 2) * SLOT_BYTES
}

/** Whole sectors. */
export function encodeTpmState({ generation, content }: TpmState): Result<Buffer> {
  if (content.length > SLOT_BYTES - HEADER_BYTES)
    return fail(failure('internal', `The state of a TPM has ${content.length} bytes, more than its volume holds`))
  const header = `STEAD-TPM1 ${generation} ${content.length} ${digestOf(generation, content)}\n`
  const bytes = Buffer.alloc(HEADER_BYTES + Math.ceil(content.length / SECTOR_BYTES) * SECTOR_BYTES)
  bytes.write(header, 'latin1')
  content.copy(bytes, HEADER_BYTES)
  return ok(bytes)
}

/** The newest whole half; undefined on a volume that no TPM has written yet. */
export function decodeTpmState(volume: Buffer): TpmState | undefined {
  const found = [0, 1].flatMap((slot) => slotIn(volume.subarray(slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES)) ?? [])
  return found.toSorted((a, b) => b.generation - a.generation)[0]
}

function slotIn(slot: Buffer): TpmState | undefined {
  const header = slot.subarray(0, HEADER_BYTES).toString('latin1')
  const [, number = '', length = '', digest] = /^STEAD-TPM1 (\d+) (\d+) ([0-9a-f]{64})\n/.exec(header) ?? []
  const [generation, bytes] = [Number(number), Number(length)]
  if (digest === undefined || bytes > SLOT_BYTES - HEADER_BYTES) return undefined
  const content = Buffer.from(slot.subarray(HEADER_BYTES, HEADER_BYTES + bytes))
  return digestOf(generation, content) === digest ? { generation, content } : undefined
}

function digestOf(generation: number, content: Buffer): string {
  return createHash('sha256').update(`${generation} `).update(content).digest('hex')
}
