/** Consoles of guests: tickets for the WebSocket, keystrokes and screenshots. */
import { KEYBOARD_LAYOUTS } from '@stead/core/console/keyboard-layout.ts'
import { z } from 'zod'
import { CONSOLE_KINDS, CONSOLE_SUBPROTOCOL, OWN_CONSOLE_KINDS, SHELL_SIZE_MAX } from '../console-protocol.ts'
import { endpoint } from '../endpoint.ts'
import { guestParams, queryBoolean, queryInteger } from './parameters.ts'

/** At the pace of typing, a request for this much is answered within half a minute. */
export const PASTE_CHARACTERS_MAX = 1_000

const ownKind = z
  .enum(OWN_CONSOLE_KINDS)
  .describe('`vnc`: the screen and keyboard, as RFB; `serial`: the serial console, of a container that of its init')
const kind = z
  .enum(CONSOLE_KINDS)
  .describe('`vnc`: the screen; `serial`: the serial console; `shell`: a shell in a container')

export const consoleTicketSchema = z.object({
  kind,
  ticket: z.string().describe('Good for one connection to this console of this guest'),
  url: z.string().describe('Path of the WebSocket on any host of the cluster, the ticket in it'),
  subprotocol: z.literal(CONSOLE_SUBPROTOCOL),
  host: z.string().describe('Where the guest runs'),
  epoch: z.number().int().describe("The guest's run"),
  expiresAt: z.number().describe('Milliseconds since 1970, UTC'),
})
export type ConsoleTicketView = z.output<typeof consoleTicketSchema>

export const CONSOLE_ENDPOINTS = {
  'console.open': endpoint({
    id: 'console.open',
    method: 'POST',
    path: '/v1/guests/{guest}/console',
    summary: "Give a ticket for a guest's console",
    permission: 'guest.console',
    on: 'guest',
    params: guestParams,
    body: z.strictObject({ kind: ownKind }),
    response: consoleTicketSchema,
    whatIf: 'harmless',
    unrecorded: true,
    status: 201,
  }),
  'console.enter': endpoint({
    id: 'console.enter',
    method: 'POST',
    path: '/v1/guests/{guest}/shell',
    summary: 'Give a ticket for a shell in a container',
    permission: 'guest.execute',
    on: 'guest',
    params: guestParams,
    response: consoleTicketSchema,
    whatIf: 'harmless',
    unrecorded: true,
    status: 201,
  }),
  'console.connect': endpoint({
    id: 'console.connect',
    method: 'GET',
    path: '/v1/guests/{guest}/console/{kind}',
    summary: "Connect to a guest's console by WebSocket; the ticket stands for the token",
    permission: 'guest.console',
    on: 'guest',
    params: guestParams.extend({ kind }),
    query: z.strictObject({
      ticket: z.string().max(200),
      alive: queryBoolean.optional().describe('Send the text `alive` each second'),
      scrollBack: queryBoolean
        .optional()
        .describe('Of `serial`: begin with the newest 64 KiB that the guest has written; true when absent'),
      columns: queryInteger(1, SHELL_SIZE_MAX).optional().describe("Of `shell`: the terminal's width; 80 when absent"),
      rows: queryInteger(1, SHELL_SIZE_MAX).optional().describe("Of `shell`: the terminal's height; 24 when absent"),
    }),
    response: z.undefined().describe('A WebSocket; binary messages are the bytes of the console'),
    websocket: true,
    status: 101,
  }),
  'console.paste': endpoint({
    id: 'console.paste',
    method: 'POST',
    path: '/v1/guests/{guest}/console/paste',
    summary: "Type text into a guest's screen by its keyboard",
    permission: 'guest.console',
    on: 'guest',
    params: guestParams,
    body: z.strictObject({
      text: z.string().min(1).max(PASTE_CHARACTERS_MAX),
      layout: z.enum(KEYBOARD_LAYOUTS).default('us').describe('The layout that the guest is set to'),
    }),
    response: z.object({ keystrokes: z.number().int().describe('How often a key was pressed, alone or with others') }),
    whatIf: 'none',
    answerWithinMs: 60_000,
    unrecorded: true,
    status: 200,
  }),
  'console.screenshot': endpoint({
    id: 'console.screenshot',
    method: 'GET',
    path: '/v1/guests/{guest}/screenshot',
    summary: "Take a picture of a guest's screen",
    permission: 'guest.console',
    on: 'guest',
    params: guestParams,
    response: z.string().describe('The picture, as PNG'),
    streams: 'text',
    media: 'image/png',
    status: 200,
  }),
} as const
