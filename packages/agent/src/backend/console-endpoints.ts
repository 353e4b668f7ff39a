/** Consoles of guests: tickets, keystrokes, pictures. The WebSocket itself is `http/websocket-server.ts`. */
import { CONSOLE_SUBPROTOCOL, type ConsoleKind } from '@stead/api/console-protocol.ts'
import type { Principal } from '@stead/core/model/access.ts'
import { ok } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Desk } from './desk.ts'

type Answers = Pick<ApiBackend, 'console.open' | 'console.enter' | 'console.paste' | 'console.screenshot'>

export function consoleEndpoints(desk: Desk): Answers {
  const { consoles } = desk.context
  const giveTicket = (nameOrId: string, kind: ConsoleKind, principal: Principal) => {
    const guest = desk.findGuest(nameOrId)
    if (!guest.ok) return guest
    const given = consoles.ticket(guest.value.value, kind, principal)
    if (!given.ok) return given
    const { name } = guest.value.value
    const url = `/v1/guests/${name}/console/${kind}?ticket=${encodeURIComponent(given.value.ticket)}`
    return ok({ ...given.value, url, subprotocol: CONSOLE_SUBPROTOCOL } as const)
  }
  return {
    'console.open': async ({ params, body }, { principal }) => giveTicket(params.guest, body.kind, principal),
    'console.enter': async ({ params }, { principal }) => giveTicket(params.guest, 'shell', principal),
    'console.paste': async ({ params, body }, request) => {
      const guest = desk.findGuest(params.guest)
      if (!guest.ok) return guest
      const typed = await consoles.paste(guest.value.value, body.text, body.layout, request.idempotencyKey)
      return typed.ok ? ok({ keystrokes: typed.value }) : typed
    },
    'console.screenshot': async ({ params }) => {
      const guest = desk.findGuest(params.guest)
      return guest.ok ? consoles.screenshot(guest.value.value) : guest
    },
  }
}
