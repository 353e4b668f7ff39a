/** The consoles of the guests that run on this host: streams of bytes, pictures and keystrokes. */
import type { Duplex } from 'node:stream'
import type { ConsoleKind, ShellSize } from '@stead/api/console-protocol.ts'
import { failure } from '@stead/core/errors.ts'
import type { Chord } from '@stead/core/console/keyboard-layout.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { RunningConsole } from '../qemu/running-guest.ts'
import { ContainerShells, type ContainerOf } from './container-shells.ts'
import { takeScreenshot } from './screenshot.ts'
import { connectTo, SerialConsole } from './serial-console.ts'
import { typeChords } from './typist.ts'

export interface GuestConsolesOptions {
  /** Fails with `conflict` when the guest does not run on this host. */
  readonly consoleOf: (guest: GuestId) => Result<RunningConsole>
  readonly containerOf: ContainerOf
  readonly clock: Clock
}

/** How a console is to begin. */
export interface ConsoleStart {
  /** Of `serial`: with what the guest has written before. */
  readonly scrollBack: boolean
  /** Of `shell`. */
  readonly size: ShellSize
}

/** A request that was sent twice is typed once; older ones than this many are forgotten. */
const TYPED_KEPT = 100

export class GuestConsoles {
  readonly #options: GuestConsolesOptions
  readonly #shells: ContainerShells
  readonly #serials = new Map<string, Promise<Result<SerialConsole>>>()
  readonly #pictures = new Map<GuestId, Promise<Result<Buffer>>>()
  /** The last text of each guest: one is typed after the other. */
  readonly #typing = new Map<GuestId, Promise<unknown>>()
  readonly #typed = new Map<string, Promise<Result<void>>>()

  constructor(options: GuestConsolesOptions) {
    this.#options = options
    this.#shells = new ContainerShells(options.containerOf)
  }

  /** Bytes to and from a console; of a shell its frames. The stream ends in order when the guest's run does. */
  async open(guest: GuestId, kind: ConsoleKind, { scrollBack, size }: ConsoleStart): Promise<Result<Duplex>> {
    if (kind === 'shell') return this.#shells.open(guest, size)
    const found = this.#options.consoleOf(guest)
    if (!found.ok) return found
    if (kind === 'serial') return this.#openSerial(guest, found.value, scrollBack)
    const screen = requireScreen(found.value)
    return screen.ok ? connectTo(screen.value.folder.vncSocket) : screen
  }

  /** The screen as PNG. Those who ask at the same time get the same picture. */
  screenshot(guest: GuestId): Promise<Result<Buffer>> {
    const running = this.#pictures.get(guest)
    if (running) return running
    const picture = this.#takePicture(guest).finally(() => this.#pictures.delete(guest))
    this.#pictures.set(guest, picture)
    return picture
  }

  /** Resolves once all is typed. The same `key` again joins the first request instead of typing twice. */
  type(guest: GuestId, chords: readonly Chord[], key: string): Promise<Result<void>> {
    const known = this.#typed.get(key)
    if (known) return known
    const turn = (this.#typing.get(guest) ?? Promise.resolve()).then(() => this.#type(guest, chords))
    this.#typing.set(guest, turn)
    void turn.finally(() => {
      if (this.#typing.get(guest) === turn) this.#typing.delete(guest)
    })
    this.#typed.set(key, turn)
    for (const oldest of this.#typed.keys()) {
      if (this.#typed.size <= TYPED_KEPT) break
      this.#typed.delete(oldest)
    }
    return turn
  }

  async #openSerial(guest: GuestId, found: RunningConsole, scrollBack: boolean): Promise<Result<Duplex>> {
    const run = `${guest}/${found.epoch}`
    // QEMU takes one connection: all who come share it, those included who come while it is being made.
    const opening = this.#serials.get(run) ?? this.#connectSerial(run, found)
    const opened = await opening
    return opened.ok ? opened.value.attach(scrollBack) : opened
  }

  #connectSerial(run: string, { serialSocket, consoleLog }: RunningConsole): Promise<Result<SerialConsole>> {
    const forget = () => {
      if (this.#serials.get(run) === opening) this.#serials.delete(run)
    }
    const opening = SerialConsole.open(serialSocket, consoleLog, forget)
    this.#serials.set(run, opening)
    void opening.then((opened) => opened.ok || forget())
    return opening
  }

  async #takePicture(guest: GuestId): Promise<Result<Buffer>> {
    const found = this.#options.consoleOf(guest)
    if (!found.ok) return found
    const screen = requireScreen(found.value)
    return screen.ok ? takeScreenshot(screen.value.monitor, screen.value.folder.runFolder) : screen
  }

  async #type(guest: GuestId, chords: readonly Chord[]): Promise<Result<void>> {
    const found = this.#options.consoleOf(guest)
    if (!found.ok) return found
    const screen = requireScreen(found.value)
    return screen.ok ? typeChords(screen.value.monitor, chords, this.#options.clock) : screen
  }
}

function requireScreen({ name, screen }: RunningConsole): Result<NonNullable<RunningConsole['screen']>> {
  return screen ? ok(screen) : fail(noScreen(name))
}

export function noScreen(name: string) {
  return failure('conflict', `${name} has no screen`, {
    hint: `Stop it, \`stead vm set ${name} --display vga\`, and start it again; or use its serial console`,
  })
}
