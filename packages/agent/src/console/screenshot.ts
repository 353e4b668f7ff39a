/**
 * A picture of a guest's screen. QEMU can write only into its own folder, so that is where the picture goes; the agent
 * reads it there as one reads a stranger's letter, since a QEMU that was taken over owns that folder: it follows no
 * link of either kind, waits for no pipe, and takes only a whole PNG of bounded size.
 */
import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { QmpClient } from '../qemu/qmp.ts'

const PNG_BYTES_MAX = 64 << 20
const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const PNG_END = Buffer.from('IEND')
/** The drawing of a large screen under emulation. */
const DUMP_TIMEOUT_MS = 15_000

export async function takeScreenshot(monitor: QmpClient, runFolder: string): Promise<Result<Buffer>> {
  const filename = join(runFolder, `screen-${randomUUID()}.png`)
  try {
    const dumped = await monitor.execute('screendump', { filename, format: 'png' }, DUMP_TIMEOUT_MS)
    return dumped.ok ? await readPicture(filename) : dumped
  } finally {
    await rm(filename, { force: true })
  }
}

export async function readPicture(path: string): Promise<Result<Buffer>> {
  const refuse = (why: string, cause?: unknown) =>
    fail(failure('hypervisor', `QEMU has made no picture that can be used: ${why}`, { cause }))
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      const found = await file.stat()
      if (!found.isFile() || found.nlink !== 1) return refuse('it is no plain file')
      if (found.size > PNG_BYTES_MAX) return refuse(`it has ${found.size} bytes`)
      const picture = Buffer.alloc(found.size)
      await file.read(picture, 0, found.size, 0)
      const whole = picture.subarray(0, 8).equals(PNG_SIGNATURE) && picture.subarray(-8, -4).equals(PNG_END)
      return whole ? ok(picture) : refuse('it is no whole PNG')
    } finally {
      await file.close()
    }
  } catch (cause) {
    return refuse('it cannot be read', cause)
  }
}
