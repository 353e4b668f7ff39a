/**
 * A Stead cluster, for programs: every endpoint by its id, typed. Which host answers does not matter; one that dies in the
 * middle costs a second request to another, which by its key is done once.
 */
import { Client } from '@stead/api/client.ts'
import type { Endpoint } from '@stead/api/endpoint.ts'
import { ConsoleConnection } from '@stead/api/console-connection.ts'
import { ShellConnection } from '@stead/api/shell-connection.ts'
import type { ApiTarget } from '@stead/api/transport.ts'
import type { Result } from '@stead/core/result.ts'
import { endpointTable } from './endpoint-table.ts'
import type { Endpoints } from './endpoint-types.ts'
import { GuestConsole, GuestShell, type TerminalSize } from './guest-streams.ts'
import { SteadError } from './stead-error.ts'
import { WAY } from './way.ts'

export type { ConsoleEvent, GuestConsole, GuestShell, ShellEvent, TerminalSize } from './guest-streams.ts'
export { SteadError } from './stead-error.ts'

export interface SteadOptions {
  /** Of several hosts: `https://192.0.2.1:8443`, or the path of a host's own socket. The first that answers is asked on. */
  readonly hosts: readonly string[]
  /** An API token: `stead token create USER NAME`. */
  readonly token?: string
  /** PEM of the cluster's authority, where this machine does not believe it anyway; nothing else is believed then. */
  readonly authority?: string
  /** How long to go on while no host can decide, as during a failover, ms; 8000 when absent. */
  readonly patienceMs?: number
}

export interface CallOptions {
  readonly signal?: AbortSignal
  /** A revision, as views show it: the change is made only while the object still has it. */
  readonly ifMatch?: string
  /** Of a change that must be made once even if this program dies and asks again; a new one for each call when absent. */
  readonly idempotencyKey?: string
}

export type EndpointName = keyof Endpoints
/** Lists, whose items can be had one after the other. */
export type ListName = {
  [Name in EndpointName]: Endpoints[Name]['answer'] extends {
    readonly items: readonly unknown[]
    readonly next?: unknown
  }
    ? Name
    : never
}[EndpointName]
export type ItemOfList<Name extends ListName> = Endpoints[Name]['answer'] extends {
  readonly items: readonly (infer Item)[]
}
  ? Item
  : never
/** What happens, as long as one listens. */
export type StreamName = {
  [Name in EndpointName]: Endpoints[Name]['event'] extends undefined ? never : Name
}[EndpointName]
/** `guest.set`, of which there is a `guest.show`. */
export type SettableName = {
  [Name in EndpointName]: Name extends `${infer Noun}.set`
    ? `${Noun}.show` extends EndpointName
      ? Name
      : never
    : never
}[EndpointName]
export type ShownBy<Name extends SettableName> = Name extends `${infer Noun}.set`
  ? `${Noun}.show` extends EndpointName
    ? Endpoints[`${Noun}.show`]['answer']
    : never
  : never

type Input<Name extends EndpointName> = Endpoints[Name]['input']
type Rest<Name extends EndpointName> =
  object extends Input<Name>
    ? [input?: Input<Name>, options?: CallOptions]
    : [input: Input<Name>, options?: CallOptions]

const PAGE = 200
const TRIES_MAX = 5
const TERMINAL: TerminalSize = { columns: 80, rows: 24 }

export class Stead {
  readonly #client: Client
  readonly #endpoints = endpointTable()

  constructor({ hosts, token, authority, patienceMs }: SteadOptions) {
    const targets = hosts.map((host): ApiTarget =>
      host.startsWith('/') ? { unix: host } : { url: host, ...(authority === undefined ? {} : { authority }) },
    )
    this.#client = new Client({
      ...{ targets, transport: WAY.transport },
      ...(token === undefined ? {} : { token }),
      ...(patienceMs === undefined ? {} : { patienceMs }),
    })
  }

  /** One request and its answer. Throws a `SteadError`. */
  async call<Name extends EndpointName>(name: Name, ...rest: Rest<Name>): Promise<Endpoints[Name]['answer']> {
    const [input, options] = rest
    const answer = await this.#client.call(this.#endpoint(name), (input ?? {}) as never, options)
    return valueOf(answer) as Endpoints[Name]['answer']
  }

  /** All items of a list, page by page, in the order of their keys: what comes or goes meanwhile moves no other. */
  async *items<Name extends ListName>(name: Name, ...rest: Rest<Name>): AsyncGenerator<ItemOfList<Name>> {
    const [input, options] = rest as unknown as [{ query?: object } | undefined, CallOptions | undefined]
    let cursor: string | undefined
    do {
      const query = { limit: PAGE, ...input?.query, ...(cursor === undefined ? {} : { cursor }) }
      const asked = { ...input, query } as unknown as Input<Name>
      const page = (await this.call(name, ...([asked, options] as unknown as Rest<Name>))) as {
        readonly items: readonly ItemOfList<Name>[]
        readonly next?: string | null
      }
      yield* page.items
      cursor = page.next ?? undefined
    } while (cursor !== undefined)
  }

  /**
   * Looks, and changes what was seen: `change` gets the object as it is and says what is to be set. When somebody else was
   * faster it is asked again with what is so then; nobody's change is overwritten unseen.
   */
  async change<Name extends SettableName>(
    name: Name,
    input: Omit<Input<Name>, 'body'>,
    change: (seen: ShownBy<Name>) => Input<Name> extends { readonly body: infer Body } ? Body : never,
  ): Promise<Endpoints[Name]['answer']> {
    const show = name.replace(/\.set$/, '.show') as EndpointName
    for (let tries = 1; ; tries++) {
      const seen = (await this.call(show, ...([input] as unknown as Rest<EndpointName>))) as ShownBy<Name>
      const asked = { ...input, body: change(seen) } as unknown as Input<Name>
      const { revision } = seen as { readonly revision: string }
      try {
        return await this.call(name, ...([asked, { ifMatch: revision }] as unknown as Rest<Name>))
      } catch (error) {
        if (!(error instanceof SteadError) || error.code !== 'changed_meanwhile' || tries >= TRIES_MAX) throw error
      }
    }
  }

  /** What happens, without end and without gap: when the connection breaks it goes on at the next host. */
  async *follow<Name extends StreamName>(
    name: Name,
    input: Input<Name>,
    signal: AbortSignal = new AbortController().signal,
  ): AsyncGenerator<Endpoints[Name]['event']> {
    const endpoint = this.#endpoint(name) as Endpoint & { streams: 'events' }
    for await (const event of this.#client.follow(endpoint, input as never, signal)) yield valueOf(event) as never
  }

  /** The bytes of what is no JSON, as they come: a console's log, a picture, the audit. Throws when the connection breaks. */
  async *bytes<Name extends EndpointName>(name: Name, ...rest: Rest<Name>): AsyncGenerator<Uint8Array> {
    const endpoint = this.#endpoint(name) as Endpoint & { streams: 'text' }
    const [input, options] = rest
    yield* valueOf(await this.#client.stream(endpoint, (input ?? {}) as never, options)).body
  }

  /** A guest's screen, as RFB, or its serial console, of a container that of its init. Guests have ids and names. */
  console(guest: string, kind: 'vnc' | 'serial'): GuestConsole {
    const asked = { client: this.#client, openSocket: WAY.openSocket, guest, kind }
    return new GuestConsole((on) => new ConsoleConnection({ ...asked, ...on }))
  }

  /** A shell in a container, as its root. */
  shell(guest: string, size: TerminalSize = TERMINAL): GuestShell {
    const asked = { client: this.#client, openSocket: WAY.openSocket, guest, size }
    return new GuestShell((on) => new ShellConnection({ ...asked, ...on }))
  }

  /** The client reads of an endpoint how it is asked, and no schema. */
  #endpoint(name: string): Endpoint {
    const known = this.#endpoints[name]
    if (!known) throw new TypeError(`There is no endpoint ${name}`)
    return known as unknown as Endpoint
  }
}

function valueOf<Value>(result: Result<Value>): Value {
  if (result.ok) return result.value
  throw new SteadError(result.error)
}
