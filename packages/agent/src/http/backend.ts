/** What the API server needs of the agent behind it: one function an endpoint. */
import type { Readable } from 'node:stream'
import type { EndpointId, ENDPOINTS } from '@stead/api/endpoints.ts'
import type { Endpoint, ItemOf, ParsedInput, ResponseOf } from '@stead/api/endpoint.ts'
import type { Principal } from '@stead/core/model/access.ts'
import type { Result } from '@stead/core/result.ts'
import type { Once, Unchanged } from '../backend/conditional-requests.ts'

export interface RequestContext {
  /** The client's key for this change; a repeated request with the same key must be done once. */
  readonly idempotencyKey?: string
  /** Revisions, decimal, of which the object must still have one (`*`: it must exist); otherwise `changed_meanwhile`. */
  readonly ifMatch?: readonly string[] | '*'
  /** What the change is made of as its transaction's conditions: see `conditional-requests.ts`. */
  readonly once?: Once
  readonly unchanged?: readonly Unchanged[]
  /** Nothing is to be changed: the answer is what the change would do. */
  readonly whatIf?: true
  /** The token of what the client has foreseen of this change. */
  readonly foreseen?: string
  /** Of a change that nobody can foresee: none is demanded to have. */
  readonly isUnforeseeable?: true
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal
  readonly principal: Principal
  readonly visitor: Visitor
  /** Set once the audit holds what the request has changed, or that it was denied. */
  readonly trail?: { recorded: boolean }
}

/** How a client comes, for signing in and what follows from it. */
export interface Visitor {
  /** `local`: by the unix socket. */
  readonly address: string
  /** What the client calls itself. */
  readonly client: string
  /** What its cookies hold of the session and of the device; good or not. */
  readonly session?: string
  readonly device?: string
  readonly realmSignIn?: string
  /** As the client has called this host: `https://h1.example:8443`. */
  readonly origin?: string
  /** A page of another site has asked; the browser sends the cookies by itself. */
  readonly isElsewhere?: boolean
  /** Absent where no browser comes. */
  readonly setCookie?: (name: string, value: string, maxAgeS: number) => void
}

export interface UploadBody {
  readonly upload: {
    /** Ends with an error when the content's digest is not the named one, or when the client vanishes. */
    readonly stream: Readable
    /** As the client announced it, bytes; absent when it did not. */
    readonly sizeBytes?: number
  }
}

type ReplyOf<E extends Endpoint> = E extends { readonly streams: 'text' }
  ? AsyncIterable<Uint8Array>
  : E extends { readonly streams: 'events' }
    ? /** The stream when the query says `follow`. */ ResponseOf<E> | AsyncIterable<ItemOf<E>>
    : E extends { readonly status: 204 }
      ? void
      : ResponseOf<E>

type InputOf<E extends Endpoint> = E extends { readonly upload: true } ? ParsedInput<E> & UploadBody : ParsedInput<E>

/** `openapi.show` is answered by the server itself, WebSockets by `websocket-server.ts`. */
export type BackendId = Exclude<EndpointId, 'openapi.show' | 'console.connect'>

export type ApiBackend = BackendOf<Pick<typeof ENDPOINTS, BackendId>>

export type BackendOf<Endpoints extends Readonly<Record<string, Endpoint>>> = {
  readonly [Id in keyof Endpoints]: (
    input: InputOf<Endpoints[Id]>,
    context: RequestContext,
  ) => Promise<Result<ReplyOf<Endpoints[Id]>>>
}
