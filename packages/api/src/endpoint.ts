/** What an endpoint's description consists of, and the types that follow from one. */
import type { Privilege } from '@stead/core/access/privilege.ts'
import type { z } from 'zod'
import type { ListQuery } from './list-query.ts'

/**
 * What an endpoint is about, and so on which path its privilege is asked for: docs/internals/access.md. One object is
 * found by the parameter of its name; of those in the plural the answer is filtered, item by item.
 */
export const ACCESS_OBJECTS = [
  'cluster',
  'access',
  'host',
  'hosts',
  'guest',
  'guests',
  'project',
  'projects',
  /** What projects used. */
  'usages',
  /** A guest that does not exist yet: its project. */
  'new-guest',
  'new-image',
  'import',
  /** The guest that is copied, and the project of the copy. */
  'clone',
  /** A guest, and the project that it comes to. */
  'moved-guest',
  'volume',
  'volumes',
  'image',
  'images',
  'backup',
  'backups',
  'operation',
  'operations',
  'event',
  'events',
  /** Views of several kinds: each needs what its kind needs, and is left out otherwise. */
  'views',
  /** Who asks; nobody needs a privilege for that. */
  'self',
] as const
export type AccessObject = (typeof ACCESS_OBJECTS)[number]

export interface Endpoint {
  readonly id: string
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Parameters in braces: `/v1/guests/{guest}`. */
  readonly path: `/v1/${string}`
  /** One line, imperative; the command line's help shows it. */
  readonly summary: string
  /** `none`: whoever is known may. */
  readonly permission: Privilege | 'none'
  readonly on: AccessObject
  /** Open to whoever reaches the port, before he has shown who he is. */
  readonly public?: true
  /** Also open to a session that must do something first, as to change its user's password. */
  readonly dutiful?: true
  readonly params?: z.ZodObject
  readonly query?: z.ZodObject
  readonly body?: z.ZodType
  /** The request's body is a file, sent as `application/octet-stream`. */
  readonly upload?: true
  readonly response: z.ZodType
  /**
   * `text`: the response is bytes, which may go on. `events`: with `?follow=true` the response is a stream of
   * server-sent events, each one JSON document of `item`.
   */
  readonly streams?: 'text' | 'events'
  readonly item?: z.ZodType
  /** Of `streams: 'text'`: what the bytes are; plain text when absent. */
  readonly media?: string
  /** The request is upgraded to a WebSocket; it authenticates itself by its query, since browsers can send no header. */
  readonly websocket?: true
  /** HTTP status of success. */
  readonly status: 101 | 200 | 201 | 202 | 204
  /** How long a client waits for the first byte of the answer before it asks another host, ms; short when absent. */
  readonly answerWithinMs?: number
  /**
   * Whether `--what-if` can foresee the change; it can when absent. `none`: it is refused then. `harmless`: it changes
   * nothing that matters and is done all the same.
   */
  readonly whatIf?: 'none' | 'harmless'
  /** Of a list: the fields that its items are known by, and so takes `list-query.ts`. Others page at their source. */
  readonly listedBy?: readonly [string, ...string[]]
  /** Answers with an operation that goes on after the response. */
  readonly long?: true
  /** Of what the path does not name: see `revisedObjectOf`. */
  readonly revisionOf?: RevisedObject
  /**
   * Of what is sent as a change: it changes no record by a transaction of its own (it opens a console, takes a file), so
   * there is nothing with which an `Idempotency-Key` could be kept, and no revision that `If-Match` could compare.
   */
  readonly unrecorded?: true
  /** It is asked for when the store does not answer, to bring it back. */
  readonly worksWithoutStore?: true
}

/** The objects whose records' revision clients see. */
const REVISED_BY_PARAMETER = [
  'token',
  'permission',
  'role',
  'group',
  'user',
  'rule',
  'volume',
  'guest',
  'host',
  'project',
  'image',
  'template',
  'backup',
  'realm',
  'webhook',
] as const
export type RevisedObject = (typeof REVISED_BY_PARAMETER)[number] | 'policy' | 'certificate'

export function isRead({ method }: Pick<Endpoint, 'method'>): boolean {
  return method === 'GET' || method === 'HEAD'
}

/** A change of which the store keeps whether it was made, so that a request can be sent again with its key. */
export function isRecorded(endpoint: Endpoint): boolean {
  return !isRead(endpoint) && !endpoint.unrecorded
}

/** Whose revision the `ETag` of an answer is, and `If-Match` of a change compares: what the path names, innermost first. */
export function revisedObjectOf(endpoint: Endpoint): RevisedObject | undefined {
  if (endpoint.unrecorded) return undefined
  return endpoint.revisionOf ?? REVISED_BY_PARAMETER.find((name) => endpoint.path.includes(`{${name}}`))
}

/** Keeps the literal types. */
export function endpoint<const Definition extends Endpoint>(definition: Definition): Definition {
  return definition
}

type OutputOf<Definition, Key extends 'params' | 'query' | 'body' | 'response' | 'item'> =
  Definition extends Readonly<Record<Key, infer Schema extends z.ZodType>> ? z.output<Schema> : undefined
type Has<Definition, Key extends string, Then> = Definition extends Readonly<Record<Key, unknown>> ? Then : unknown

/** What the server's back end receives: everything parsed, defaults filled in. */
export interface ParsedInput<Definition extends Endpoint> {
  readonly params: OutputOf<Definition, 'params'>
  readonly query: OutputOf<Definition, 'query'>
  readonly body: OutputOf<Definition, 'body'>
}

type InputOf<Definition, Key extends string> =
  Definition extends Readonly<Record<Key, infer Schema extends z.ZodType>> ? z.input<Schema> : never

/** A file to send; it is opened again when another host must be tried. */
export interface UploadSource {
  readonly sizeBytes: number
  open(): Blob | AsyncIterable<Uint8Array>
}

/** What a client passes: only what the endpoint takes. Query values keep their types and are sent as text. */
export type CallInput<Definition extends Endpoint> = Has<
  Definition,
  'params',
  { readonly params: InputOf<Definition, 'params'> }
> &
  Has<Definition, 'query', { readonly query?: OutputOf<Definition, 'query'> }> &
  Has<Definition, 'listedBy', { readonly query?: ListQuery }> &
  Has<Definition, 'body', { readonly body: InputOf<Definition, 'body'> }> &
  Has<Definition, 'upload', { readonly upload: UploadSource }>

export type ResponseOf<Definition extends Endpoint> = OutputOf<Definition, 'response'> &
  Has<Definition, 'listedBy', { readonly next?: string | null }>
export type ItemOf<Definition extends Endpoint> = OutputOf<Definition, 'item'>
