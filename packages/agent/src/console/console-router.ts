/** The consoles of all guests as one host offers them: it goes to whichever host runs the guest. */
import { randomUUID } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { Readable } from 'node:stream'
import type { ConsoleKind, ShellSize } from '@stead/api/console-protocol.ts'
import type { ConsoleTicketView } from '@stead/api/endpoints/consoles.ts'
import { failure } from '@stead/core/errors.ts'
import type { KeyboardLayoutName } from '@stead/core/console/keyboard-layout.ts'
import { keystrokesOf } from '@stead/core/console/keystrokes.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { Principal } from '@stead/core/model/access.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import { guestByName, isActive } from '@stead/core/model/records.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { HostClient } from '../http/host-client.ts'
import type { Pipes } from '../http/internal-pipe.ts'
import { TakenAway } from '../access/taken-away.ts'
import { CHORD_INTERVAL_MS } from './typist.ts'
import { issuerOf, refused, type ConsoleTickets } from './console-tickets.ts'
import { noScreen, type ConsoleStart, type GuestConsoles } from './guest-consoles.ts'

export interface ConsoleRouterOptions {
  readonly self: HostId
  readonly mirror: ClusterMirror
  readonly client: (host: HostId) => Pick<HostClient, 'callGuest' | 'stream' | 'pipe'>
  readonly here: GuestConsoles
  readonly tickets: ConsoleTickets
  /** Whether he may still use the consoles of the guest: he could when he got the ticket. */
  readonly mayUse: (principal: Principal, guest: GuestId, kind: ConsoleKind) => boolean
}

/** Where a guest runs, and in which of its runs. */
export interface GuestPlace {
  readonly host: HostId
  readonly epoch: number
}

export interface ConsoleRequest {
  /** Name or id. */
  readonly guest: string
  readonly kind: ConsoleKind
  readonly ticket: string
  readonly scrollBack?: boolean | undefined
  readonly columns?: number | undefined
  readonly rows?: number | undefined
}

export interface OpenConsole {
  readonly stream: Duplex
  /** Says once, in a sentence, that the guest's run at this place is over by the cluster's word. */
  readonly onMoved: (listener: (reason: string) => void) => () => void
  /** Aborted when who opened it may use it no more. */
  readonly taken: AbortSignal
}

const SHELL_SIZE: ShellSize = { columns: 80, rows: 24 }
/** The keyboard is slow by intention. */
const TYPING_ALLOWANCE_MS = 10_000
const SCREENSHOT_PATIENCE = AbortSignal.timeout.bind(AbortSignal, 20_000)

export class ConsoleRouter {
  readonly #options: ConsoleRouterOptions

  constructor(options: ConsoleRouterOptions) {
    this.#options = options
  }

  ticket(
    guest: Guest,
    kind: ConsoleKind,
    principal: Principal,
  ): Result<Omit<ConsoleTicketView, 'url' | 'subprotocol'>> {
    const place = this.#placeOf(guest)
    if (!place.ok) return place
    if (kind === 'vnc' && guest.display !== 'vga') return fail(noScreen(guest.name))
    if (kind === 'shell' && guest.kind !== 'ct') return fail(noShell(guest.name))
    return ok({ kind, ...this.#options.tickets.give(guest.id, kind, principal), ...place.value })
  }

  /** Uses the ticket up and opens the console of the guest. */
  async connect({ guest: nameOrId, kind, ticket, ...how }: ConsoleRequest): Promise<Result<OpenConsole>> {
    const { self, here, client, mirror } = this.#options
    const guest = (mirror.state.guests.get(nameOrId as GuestId) ?? guestByName(mirror.state, nameOrId))?.value
    // Who has no good ticket learns nothing, not even which guests there are.
    if (!guest) return refused('The ticket is for another console')
    const redeemed = await this.#redeem(ticket, guest.id, kind)
    if (!redeemed.ok) return redeemed
    const isPermitted = () => this.#options.mayUse(redeemed.value, guest.id, kind)
    if (!isPermitted()) return refused('Who asked for the ticket may not use the console any more')
    const place = this.#placeOf(guest)
    if (!place.ok) return place
    const { host } = place.value
    const { scrollBack = true, columns = SHELL_SIZE.columns, rows = SHELL_SIZE.rows } = how
    const start: ConsoleStart = { scrollBack, size: { columns, rows } }
    const stream =
      host === self
        ? await here.open(guest.id, kind, start)
        : await client(host).pipe('console', { guest: guest.id, kind, ...start })
    if (!stream.ok) return stream
    const gone = new AbortController()
    stream.value.once('close', () => gone.abort())
    const { taken } = new TakenAway(mirror, gone.signal, isPermitted)
    return ok({
      ...{ stream: stream.value, taken },
      onMoved: (listener) => this.#watch(guest, place.value, listener),
    })
  }

  async screenshot(guest: Guest): Promise<Result<AsyncIterable<Uint8Array>>> {
    const { self, here, client } = this.#options
    const place = this.#placeOf(guest)
    if (!place.ok) return place
    if (guest.display !== 'vga') return fail(noScreen(guest.name))
    const { host } = place.value
    if (host !== self) return client(host).stream('screenshot', { guest: guest.id }, SCREENSHOT_PATIENCE())
    const picture = await here.screenshot(guest.id)
    return picture.ok ? ok(Readable.from([picture.value])) : picture
  }

  /** The number of keystrokes, once all are typed. Nothing is typed of a text that the layout cannot type. */
  async paste(
    guest: Guest,
    text: string,
    layout: KeyboardLayoutName,
    key: string = randomUUID(),
  ): Promise<Result<number>> {
    const { self, here, client } = this.#options
    const chords = keystrokesOf(text, layout)
    if (!chords.ok) return chords
    const place = this.#placeOf(guest)
    if (!place.ok) return place
    if (guest.display !== 'vga') return fail(noScreen(guest.name))
    const { host } = place.value
    const timeoutMs = 2 * CHORD_INTERVAL_MS * chords.value.length + TYPING_ALLOWANCE_MS
    const typed =
      host === self
        ? await here.type(guest.id, chords.value, key)
        : await client(host).callGuest('type', { guest: guest.id, text, layout, key }, timeoutMs)
    return typed.ok ? ok(chords.value.length) : typed
  }

  /** What this host does for the routers of the others. */
  get calls() {
    const { here, tickets } = this.#options
    return {
      'redeem-console-ticket': async (input: unknown) => {
        const { ticket, guest, kind } = input as { ticket: string; guest: GuestId; kind: ConsoleKind }
        return tickets.redeem(ticket, guest, kind)
      },
      type: async (input: unknown) => {
        const { guest, text, layout, key } = input as {
          guest: GuestId
          text: string
          layout: KeyboardLayoutName
          key: string
        }
        const chords = keystrokesOf(text, layout)
        return chords.ok ? here.type(guest, chords.value, key) : chords
      },
    }
  }

  get streams() {
    return {
      screenshot: async (input: unknown) => {
        const picture = await this.#options.here.screenshot((input as { guest: GuestId }).guest)
        return picture.ok ? ok<AsyncIterable<Uint8Array>>(Readable.from([picture.value])) : picture
      },
    }
  }

  get pipes(): Pipes {
    return {
      console: (input) => {
        const { guest, kind, scrollBack, size } = input as { guest: GuestId; kind: ConsoleKind } & ConsoleStart
        return this.#options.here.open(guest, kind, { scrollBack, size })
      },
    }
  }

  #placeOf(guest: Guest): Result<GuestPlace> {
    const grant = this.#options.mirror.state.grants.get(guest.id)?.value
    if (isActive(grant)) return ok({ host: grant.host, epoch: grant.epoch })
    const hint =
      guest.desired === 'running' ? 'It is to run: try again in a moment' : `\`stead vm start ${guest.name}\``
    return fail(failure('conflict', `${guest.name} does not run`, { hint }))
  }

  async #redeem(ticket: string, guest: GuestId, kind: ConsoleKind): Promise<Result<Principal>> {
    const { self, mirror, tickets, client } = this.#options
    const issuer = issuerOf(ticket)
    if (issuer === self) return tickets.redeem(ticket, guest, kind)
    if (!mirror.state.hosts.has(issuer)) return refused('The ticket is not one of this cluster')
    const redeemed = await client(issuer).callGuest('redeem-console-ticket', { ticket, guest, kind })
    return redeemed.ok ? ok(redeemed.value as Principal) : redeemed
  }

  #watch(guest: Guest, place: GuestPlace, listener: (reason: string) => void): () => void {
    const { mirror } = this.#options
    let over = false
    const look = () => {
      const grant = mirror.state.grants.get(guest.id)?.value
      if (over || (isActive(grant) && grant.host === place.host && grant.epoch === place.epoch)) return
      end()
      listener(isActive(grant) ? `${guest.name} runs on ${grant.host} now` : `${guest.name} does not run any more`)
    }
    const off = mirror.onChange(look)
    const end = () => {
      over = true
      off()
    }
    // It may have moved while the console was being opened.
    queueMicrotask(look)
    return end
  }
}

function noShell(name: string) {
  return failure('conflict', `${name} is a virtual machine: no shell in it can be opened from outside`, {
    hint: `Use its console (\`stead vm console ${name}\`), or run programs by its agent (\`stead vm agent exec ${name} -- …\`)`,
  })
}
