/** Shells of people in the containers of this host, each on a terminal of its own, as streams of frames. */
import { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ShellSize } from '@stead/api/console-protocol.ts'
import { failure } from '@stead/core/errors.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { LxcContainer } from '../container/lxc-container.ts'
import { encodeShellFrame, shellFrameReader } from './shell-frames.ts'

/** On one host at a time; each is three processes. */
const SHELLS_MAX = 100
/** A container that ends kills its shells first, and is gone a moment later: BusyBox's init waits a second before it halts. */
const ENDING_MS_MAX = 3_000
/** 128 + SIGKILL. */
const KILLED = 137

/** Fails with `conflict` when the container does not run on this host. */
export type ContainerOf = (guest: GuestId) => Result<LxcContainer>

export class ContainerShells {
  readonly #containerOf: ContainerOf
  #open = 0

  constructor(containerOf: ContainerOf) {
    this.#containerOf = containerOf
  }

  /** Destroying the stream hangs up. */
  open(guest: GuestId, size: ShellSize): Result<Duplex> {
    const found = this.#containerOf(guest)
    if (!found.ok) return found
    const container = found.value
    const init = container.initPid()
    if (this.#open >= SHELLS_MAX)
      return fail(
        failure('conflict', `${SHELLS_MAX} shells are open on this host already`, { hint: 'Leave one first' }),
      )
    const entered = container.enter(size)
    if (!entered.ok) return entered
    const { stream: terminal, resize, ended } = entered.value
    this.#open++
    void ended.then(() => this.#open--)
    const read = shellFrameReader()
    const shell = new Duplex({
      read: () => void terminal.resume(),
      write: (piece: Buffer, _encoding, done) => {
        try {
          const typed: Buffer[] = []
          for (const frame of read(piece)) {
            if (frame.kind === 'bytes') typed.push(frame.bytes)
            if (frame.kind === 'size') resize(frame.size.columns, frame.size.rows)
          }
          terminal.write(Buffer.concat(typed), () => done())
        } catch (error) {
          done(error as Error)
        }
      },
      final: (done) => void terminal.end(done),
      destroy: (error, done) => {
        terminal.destroy()
        done(error)
      },
    })
    terminal.on('data', (bytes: Buffer) => {
      if (!shell.push(encodeShellFrame({ kind: 'bytes', bytes }))) terminal.pause()
    })
    terminal.once('end', async () => {
      const code = await ended
      const lives = code !== KILLED || (await livesOn(container, init))
      if (shell.destroyed) return
      if (lives) shell.push(encodeShellFrame({ kind: 'exit', code }))
      shell.push(null)
    })
    return ok(shell)
  }
}

/** Whether it was only the shell that was killed. */
async function livesOn(container: LxcContainer, init: number | undefined): Promise<boolean> {
  const deadline = performance.now() + ENDING_MS_MAX
  while (performance.now() < deadline) {
    if (!container.running || container.initPid() !== init) return false
    await sleep(20)
  }
  return true
}
