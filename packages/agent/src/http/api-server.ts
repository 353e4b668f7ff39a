/**
 * The HTTP server of an agent: the contract's routes on fastify. All checking of input is the contract's (zod);
 * fastify's own validation coerces and drops silently, so it is not used. Every error is a problem document.
 */
import { chmod, rm } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { Server as TlsServer, type SecureContext } from 'node:tls'
import fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
} from 'fastify'
import { FORESIGHT_MEDIA_TYPE } from '@stead/api/foresight-headers.ts'
import { ALL_ENDPOINTS } from '@stead/api/endpoints.ts'
import type { SETUP_ENDPOINTS } from '@stead/api/endpoints/set-up.ts'
import type { Endpoint } from '@stead/api/endpoint.ts'
import { describeIssues } from '@stead/api/issues.ts'
import { listQuerySchema, type ListQuery } from '@stead/api/list-query.ts'
import { openApiDocument } from '@stead/api/openapi.ts'
import { failure, FailureError } from '@stead/core/errors.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { principalName, type Principal } from '@stead/core/model/access.ts'
import { clientAddress } from '@stead/core/access/client-address.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { z } from 'zod'
import type { NamedCertificate } from '../certificate/named-certificate.ts'
import type { ApiBackend, BackendOf, RequestContext } from './backend.ts'
import { CLIENT_LIMITS, limitConnections, TokenBuckets, type ClientLimits } from './client-limits.ts'
import { CLIENT_GONE, digestCheck } from './digest-check.ts'
import { eventsOf } from './event-socket.ts'
import { foreignOrigin, identify, isKnown, type Identification } from './identify.ts'
import { parseJson } from './json-body.ts'
import { jsonOf } from './kept-json.ts'
import { LIST_FIELDS, partOfList } from './list-page.ts'
import { failureOfThrown, sendProblem, sendProtocolProblem } from './problem-reply.ts'
import { contextOf } from './request-context.ts'
import { serveWebSockets, type ConnectConsole } from './websocket-server.ts'
import { byteStream, eventStream, isAsyncIterable } from './streamed-reply.ts'
import { isWebPath, type WebFiles } from './web-files.ts'

/** PEM, the leaf first. */
export interface ServerCertificate {
  readonly certificate: string
  readonly key: string
}

export type ListenAddress =
  | { readonly unix: string }
  | { readonly host: string; readonly port: number; readonly tls?: ServerCertificate }

/** Of a host that is of no cluster yet. */
export type SetupBackend = BackendOf<typeof SETUP_ENDPOINTS>

export interface ApiServerOptions extends Identification {
  /** A unix socket is guarded by its file's mode 0600; over TCP who asks must show who he is. Port 0: any free one. */
  readonly listen: readonly ListenAddress[]
  readonly backend: ApiBackend | SetupBackend
  /** What is served; the cluster's API when absent. */
  readonly endpoints?: readonly Endpoint[]
  readonly log: Log
  /** Over TCP. */
  readonly limits?: ClientLimits
  /** Largest file that may be uploaded, bytes. */
  readonly uploadBytesMax?: number
  /** Absent: no WebSocket is accepted. */
  readonly connectConsole?: ConnectConsole
  /** Answers what is not the API's; absent: nothing does. */
  readonly web?: WebFiles
}

export interface ApiServer {
  /** Where it really listens, in the order of `listen`. */
  readonly addresses: readonly ListenAddress[]
  /** For connections from now on. Throws when it is none. */
  useCertificate(tls: ServerCertificate): void
  /** For connections from now on that ask for one of its names; undefined: there is no such certificate. */
  useNamed(certificate: NamedCertificate | undefined): void
  /** Ends open streams, then closes. */
  close(): Promise<void>
}

const JSON_BYTES_MAX = 1024 * 1024
const UPLOAD_BYTES_MAX = 256 * 1024 ** 3
/** How often node looks for heads that are late. */
const TIMEOUTS_LOOK_MS = 1_000

const UPGRADE_HINT = { hint: 'Connect with a WebSocket client: a request with `Upgrade: websocket`.' }

type Handler = (input: unknown, context: RequestContext) => Promise<Result<unknown>>

const UNREADABLE_PATH = failure('bad_request', 'The path cannot be read')

export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const servers: FastifyInstance[] = []
  const addresses: ListenAddress[] = []
  const closing = new AbortController()
  let named: NamedCertificate | undefined
  // Without a context the server's own is taken.
  const contextFor = (name: string) => (named?.holds(name) ? named.context : undefined)
  const close = async () => {
    closing.abort()
    await Promise.all(servers.map((server) => server.close()))
  }
  try {
    for (const address of options.listen) {
      const server = buildServer(options, address, closing.signal, contextFor)
      servers.push(server)
      addresses.push(await listen(server, address))
    }
  } catch (error) {
    await close()
    throw error
  }
  const useCertificate = ({ certificate: cert, key }: ServerCertificate) => {
    for (const { server } of servers) if (server instanceof TlsServer) server.setSecureContext({ cert, key })
  }
  return { addresses, close, useCertificate, useNamed: (certificate) => (named = certificate) }
}

async function listen(server: FastifyInstance, address: ListenAddress): Promise<ListenAddress> {
  if ('unix' in address) {
    // Left by an agent that was killed; the new one owns the path.
    await rm(address.unix, { force: true })
    await server.listen({ path: address.unix })
    await chmod(address.unix, 0o600)
    return address
  }
  await server.listen({ host: address.host, port: address.port })
  const bound = server.server.address()
  return { host: address.host, port: typeof bound === 'object' && bound ? bound.port : address.port }
}

function buildServer(
  options: ApiServerOptions,
  address: ListenAddress,
  closing: AbortSignal,
  contextFor: (name: string) => SecureContext | undefined,
): FastifyInstance {
  const via = 'unix' in address ? 'unix' : 'tcp'
  const tls = 'tls' in address ? address.tls : undefined
  const limits = options.limits ?? CLIENT_LIMITS
  const sockets = {
    headersTimeout: limits.headTimeoutMs,
    maxHeaderSize: limits.headBytesMax,
    connectionsCheckingInterval: TIMEOUTS_LOOK_MS,
  }
  const server = fastify({
    bodyLimit: JSON_BYTES_MAX,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    // Of the whole request: uploads take hours. Bodies of JSON have their own limit.
    requestTimeout: 0,
    keepAliveTimeout: limits.keepAliveMs,
    routerOptions: { maxParamLength: 256 },
    // Where Prometheus looks by itself.
    rewriteUrl: ({ url = '/' }) => url.replace(/^\/metrics(?=$|\?)/, '/v1/metrics'),
    ...(tls
      ? {
          https: {
            ...sockets,
            ...{ cert: tls.certificate, key: tls.key, minVersion: 'TLSv1.2', ALPNProtocols: ['http/1.1'] },
            handshakeTimeout: limits.headTimeoutMs,
            SNICallback: (name: string, give: (error: null, context?: SecureContext) => void) =>
              give(null, contextFor(name)),
          },
        }
      : { http: sockets }),
    // Before any route is found: a name in the path that is too long, or is no text.
    clientErrorHandler: sendProtocolProblem,
    frameworkErrors: (error: Error, _request: FastifyRequest, reply: FastifyReply) =>
      sendProblem(reply, failureOfThrown(error) ?? UNREADABLE_PATH),
  } as FastifyServerOptions) as FastifyInstance
  if (via === 'tcp') limitConnections(server.server, limits)
  server.removeAllContentTypeParsers()
  server.addContentTypeParser(
    'application/json',
    { parseAs: 'string' },
    async (_request: FastifyRequest, body: unknown) => parseJson(String(body)),
  )
  // Everything else stays a stream; only an upload's route reads it.
  server.addContentTypeParser('*', async (_request: FastifyRequest, payload: unknown) => payload)

  const principals = new WeakMap<FastifyRequest, Principal>()
  const admit = admission(options, via, limits)
  server.addHook('onRequest', async (request, reply) => {
    // Node's parser takes a line without a version as a request of HTTP 0.9, and stumbles over what follows it.
    if (request.raw.httpVersionMajor !== 1) return sendProblem(reply, failure('bad_request', 'This is no HTTP/1.1'))
    if (options.web && isWebPath(request)) return
    const found = await admit(request)
    if (!found.ok) return sendProblem(reply, found.error)
    principals.set(request, found.value)
    if (via === 'tcp') boundBody(request, limits)
  })
  server.setErrorHandler((error, request, reply) => {
    const known = failureOfThrown(error)
    if (known) return sendProblem(reply, known)
    options.log.error('a request failed unexpectedly', { method: request.method, url: request.url, error })
    return sendProblem(
      reply,
      // What failed is for the log: it tells of the server's inside.
      failure('internal', 'The agent failed while handling the request', { hint: "See the agent's log." }),
    )
  })
  server.setNotFoundHandler((request, reply) => {
    if (options.web && isWebPath(request)) return options.web(request, reply)
    return sendProblem(
      reply,
      failure('not_found', `There is no ${request.method} ${request.url.split('?')[0]}`, {
        hint: 'GET /v1/openapi.json lists what there is.',
      }),
    )
  })

  const backend: Readonly<Record<string, Handler>> = {
    ...(options.backend as unknown as Record<string, Handler>),
    'openapi.show': async () => ({ ok: true, value: openApiDocument() }),
    'console.connect': async () => fail(failure('bad_request', 'This address is for a WebSocket', UPGRADE_HINT)),
  }
  const { connectConsole: connect } = options
  if (connect) serveWebSockets(server.server, { connect, openEvents: eventsOf(server) }, closing, options.log)
  for (const endpoint of options.endpoints ?? ALL_ENDPOINTS) {
    server.route({
      method: endpoint.method,
      url: urlOf(endpoint),
      handler: (request, reply) =>
        answer(
          endpoint,
          backend[endpoint.id] as Handler,
          request,
          reply,
          contextOf(request, reply, principals.get(request) as Principal, via, closing),
          options,
        ),
    })
  }
  return server
}

/** Who asks, unless he asks too much. */
function admission(options: ApiServerOptions, via: 'unix' | 'tcp', limits: ClientLimits) {
  const strangers = new TokenBuckets(limits.strangerRequestsPerSecond, limits.strangerRequestsBurst)
  const known = new TokenBuckets(limits.requestsPerSecond, limits.requestsBurst)
  return async (request: FastifyRequest): Promise<Result<Principal>> => {
    if (via === 'unix') return identify(request, via, options)
    const now = performance.now()
    const address = clientAddress(request.socket.remoteAddress)
    // Whoever has tried out too much is asked to wait before anything is looked up for him.
    const isPublic = PUBLIC.has(routeOf(request))
    const strangerWaitMs = !isPublic && isKnown(request.headers, options) ? 0 : strangers.waitMs(address, now)
    if (strangerWaitMs > 0) return fail(tooMany(strangerWaitMs))
    const foreign = foreignOrigin(request.headers, request.method)
    if (foreign) return fail(foreign)
    if (isPublic) {
      strangers.take(address, now)
      return ok({ kind: 'nobody' })
    }
    const found = await identify(request, via, options)
    if (!found.ok) {
      strangers.take(address, now)
      return found
    }
    const waitMs = known.take(principalName(found.value), now)
    return waitMs > 0 ? fail(tooMany(waitMs)) : found
  }
}

function tooMany(waitMs: number) {
  return failure('too_many_requests', 'More requests came from here than the agent takes', { retryAfterMs: waitMs })
}

/** A client that stops in the middle of a body does not hold the server. */
function boundBody(request: FastifyRequest, { bodyTimeoutMs, uploadSilenceMs }: ClientLimits): void {
  const { raw } = request
  if (raw.complete) return
  if (UPLOADS.has(routeOf(request))) {
    raw.socket.setTimeout(uploadSilenceMs, () => raw.destroy())
    raw.once('end', () => raw.socket.setTimeout(0))
    return
  }
  const timer = setTimeout(() => raw.destroy(), bodyTimeoutMs)
  for (const over of ['end', 'close'] as const) raw.once(over, () => clearTimeout(timer))
}

const urlOf = ({ path }: Endpoint) => path.replace(/\{(\w+)\}/g, ':$1')
const routeOf = ({ method, routeOptions }: FastifyRequest) => `${method} ${routeOptions.url ?? ''}`
const routesOf = (is: (endpoint: Endpoint) => unknown) =>
  new Set(ALL_ENDPOINTS.filter(is).map((one) => `${one.method} ${urlOf(one)}`))
const UPLOADS = routesOf((endpoint) => endpoint.upload)
const PUBLIC = routesOf((endpoint) => endpoint.public)

async function answer(
  endpoint: Endpoint,
  handler: Handler,
  request: FastifyRequest,
  reply: FastifyReply,
  context: RequestContext,
  options: ApiServerOptions,
): Promise<FastifyReply> {
  const params = checked(endpoint.params, request.params, 'path')
  const { list, own } = queriesOf(endpoint, request.query as Readonly<Record<string, unknown>>)
  const input = {
    params,
    query: checked(endpoint.query, own, 'query'),
    body: endpoint.body ? checked(endpoint.body, jsonBody(request), 'body') : undefined,
    ...(endpoint.upload ? { upload: uploadOf(request, params as { digest: string }, options) } : {}),
  }
  if (!endpoint.query && Object.keys(own).length > 0) {
    throw new FailureError(failure('bad_request', `${endpoint.method} ${endpoint.path} takes no query`))
  }
  if (context.whatIf && endpoint.whatIf === 'none')
    throw new FailureError(failure('bad_request', `What ${endpoint.id} would do cannot be foreseen`))
  const result = await handler(input, context)
  // What is left of a refused upload is not read: the connection ends with the answer.
  if (endpoint.upload && !request.raw.readableEnded) reply.header('connection', 'close')
  if (!result.ok && result.error.code === 'foreseen')
    return reply.code(200).type(FORESIGHT_MEDIA_TYPE).send(JSON.stringify(result.error.cause))
  if (!result.ok) return sendProblem(reply, result.error)
  reply.code(endpoint.status)
  const value = result.value
  if (isAsyncIterable(value)) {
    reply.header('cache-control', 'no-store')
    if (endpoint.streams === 'events') return reply.type('text/event-stream').send(eventStream(value))
    return reply.type(endpoint.media ?? 'text/plain; charset=utf-8').send(byteStream(value))
  }
  if (endpoint.status === 204) return reply.send()
  const revision = (value as { revision?: unknown }).revision
  if (typeof revision === 'string') reply.header('etag', `"${revision}"`)
  const part = endpoint.listedBy ? partOfList(endpoint, value as { items: [] }, list) : ok(value)
  if (!part.ok) return sendProblem(reply, part.error)
  return reply.type('application/json; charset=utf-8').send(jsonOf(part.value))
}

/** What every list takes, and what the endpoint itself does. */
function queriesOf(endpoint: Endpoint, query: Readonly<Record<string, unknown>>) {
  if (!endpoint.listedBy) return { list: {}, own: query }
  const entries = Object.entries(query)
  const list = entries.filter(([name]) => LIST_FIELDS.includes(name))
  const own = list.length === 0 ? query : Object.fromEntries(entries.filter(([name]) => !LIST_FIELDS.includes(name)))
  return { list: checked(listQuerySchema, Object.fromEntries(list), 'query') as ListQuery, own }
}

function checked(schema: z.ZodType | undefined, value: unknown, place: 'path' | 'query' | 'body'): unknown {
  if (!schema) return undefined
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const { message, hint } = describeIssues(result.error.issues, schema)
  const fallback = 'GET /v1/openapi.json has the fields of every request.'
  throw new FailureError(
    failure('bad_request', `The request's ${place} is not valid: ${message}`, { hint: hint ?? fallback }),
  )
}

function jsonBody(request: FastifyRequest): unknown {
  const type = request.headers['content-type'] ?? ''
  if (request.body === undefined && type === '') return {}
  if (/^application\/json\s*(;|$)/i.test(type)) return request.body
  const hint = 'Send the body as JSON with `Content-Type: application/json`.'
  throw new FailureError(failure('bad_request', `The request's content type is \`${type}\``, { hint }))
}

function uploadOf(request: FastifyRequest, params: { readonly digest: string }, options: ApiServerOptions) {
  if (!/^application\/octet-stream\s*(;|$)/i.test(request.headers['content-type'] ?? '')) {
    const hint = 'Send the file with `Content-Type: application/octet-stream`.'
    throw new FailureError(failure('bad_request', 'The upload has another content type', { hint }))
  }
  const announced = Number(request.headers['content-length'])
  // Of an upload that goes on, the whole is checked by whoever has its beginning.
  const goesOn = Number((request.query as { offset?: string }).offset ?? 0) > 0
  const check = digestCheck(goesOn ? undefined : params.digest, options.uploadBytesMax ?? UPLOAD_BYTES_MAX)
  // A back end that refuses the upload never looks at the stream; its errors then concern nobody.
  check.on('error', () => undefined)
  const source = request.body as Readable
  source.on('error', (cause) => check.destroy(cause))
  source.on('close', () => {
    if (!source.readableEnded) check.destroy(new FailureError(failure('bad_request', CLIENT_GONE)))
  })
  return { stream: source.pipe(check), ...(Number.isSafeInteger(announced) ? { sizeBytes: announced } : {}) }
}
