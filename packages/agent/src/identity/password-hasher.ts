/**
 * Argon2id, by Node itself. It runs in libuv's threads, of which there are four and which files need as well: so two at a
 * time, and who waits too long a queue is sent away. The event loop, which hears heartbeats, never hashes.
 */
import { argon2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** More than the least that OWASP asks for (19 MiB, two passes); measured: 84 ms on a machine whose two cores are busy. */
const MEMORY_KIB = 32 * 1024
const PASSES = 3
const TAG_BYTES = 32
const SALT_BYTES = 16
const AT_ONCE_MAX = 2
const WAITING_MAX = 64

const derive = promisify(argon2)

interface Parameters {
  readonly memoryKib: number
  readonly passes: number
  readonly salt: Buffer
  readonly tag: Buffer
}

export class PasswordHasher {
  /** Matches nothing: for a user who does not exist, so that he takes as long as one who does. */
  readonly #nobody: Parameters = {
    ...{ memoryKib: MEMORY_KIB, passes: PASSES },
    ...{ salt: randomBytes(SALT_BYTES), tag: randomBytes(TAG_BYTES) },
  }
  #running = 0
  readonly #first: (() => void)[] = []
  readonly #others: (() => void)[] = []

  /** In the form of the PHC's competition: `$argon2id$v=19$m=…,t=…,p=1$salt$tag`. */
  async hash(password: string): Promise<Result<string>> {
    const salt = randomBytes(SALT_BYTES)
    const tag = await this.#inTurn(true, () => tagOf(password, { memoryKib: MEMORY_KIB, passes: PASSES, salt }))
    if (!tag.ok) return tag
    return ok(`$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=1$${base64(salt)}$${base64(tag.value)}`)
  }

  /** `first`: before those of whom nothing is known, who may be an attacker. Fails with `too_many_requests`. */
  async matches(password: string, hash: string | undefined, first: boolean): Promise<Result<boolean>> {
    const known = hash === undefined ? undefined : parametersOf(hash)
    const parameters = known ?? this.#nobody
    const tag = await this.#inTurn(first, () => tagOf(password, parameters))
    if (!tag.ok) return tag
    return ok(timingSafeEqual(tag.value, parameters.tag) && known !== undefined)
  }

  async #inTurn<T>(first: boolean, work: () => Promise<T>): Promise<Result<T>> {
    if (this.#running >= AT_ONCE_MAX) {
      const queue = first ? this.#first : this.#others
      if (queue.length >= WAITING_MAX)
        return fail(failure('too_many_requests', 'Too many are signing in at the moment', { retryAfterMs: 5_000 }))
      await new Promise<void>((resolve) => queue.push(resolve))
    } else this.#running++
    try {
      return ok(await work())
    } finally {
      const next = this.#first.shift() ?? this.#others.shift()
      // The place is handed on.
      if (next) next()
      else this.#running--
    }
  }
}

function tagOf(password: string, { memoryKib, passes, salt }: Omit<Parameters, 'tag'>): Promise<Buffer> {
  return derive('argon2id', {
    ...{ message: password, nonce: salt, parallelism: 1, tagLength: TAG_BYTES },
    ...{ memory: memoryKib, passes },
  }) as Promise<Buffer>
}

const HASH = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=1\$([\w+/]+)\$([\w+/]+)$/

function parametersOf(hash: string): Parameters | undefined {
  const found = HASH.exec(hash)
  if (!found) return undefined
  const [, memory, passes, salt = '', tag = ''] = found
  return {
    ...{ memoryKib: Number(memory), passes: Number(passes) },
    ...{ salt: Buffer.from(salt, 'base64'), tag: Buffer.from(tag, 'base64') },
  }
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}
