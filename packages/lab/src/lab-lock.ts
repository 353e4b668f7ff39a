import { createServer } from 'node:net'
import type { Server } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { failure } from '@stead/core/errors.ts'
import { fail } from '@stead/core/result.ts'
import type { Result } from '@stead/core/result.ts'

const WAIT_MS_MAX = 60_000

/**
 * Runs `work` while no other command changes the same lab; waits for its turn. The lock is an abstract unix socket:
 * the kernel frees it when its holder dies, however it dies, so no lock file can be left behind.
 */
export async function withLabLock<T>(
  folder: string,
  work: () => Promise<Result<T>>,
  waitMs = WAIT_MS_MAX,
): Promise<Result<T>> {
  const end = performance.now() + waitMs
  let held = await listen(folder)
  while (held instanceof Error) {
    if (performance.now() > end) {
      const hint = 'Another stead lab command may hang; end it, then try again.'
      return fail(failure('conflict', 'another command works on this lab', { hint, cause: held }))
    }
    await delay(20)
    held = await listen(folder)
  }
  try {
    return await work()
  } finally {
    held.close()
  }
}

function listen(folder: string): Promise<Server | Error> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', resolve)
    server.listen({ path: `\0stead-lab:${folder}` }, () => resolve(server))
  })
}
