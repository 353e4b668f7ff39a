/**
 * The typed client. It knows several hosts' agents and goes to the next one when one does not answer, answers
 * that it has no quorum, or stops in the middle. Requests that change something carry an idempotency key, so that
 * sending one again is safe.
 */
import { failure, type Failure, type FailureCode } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { isRead, type CallInput, type Endpoint, type ItemOf, type ResponseOf, type UploadSource } from './endpoint.ts'
import { failureFromProblem, isProblem } from './errors.ts'
import { FORESEEN_HEADER, FORESIGHT_MEDIA_TYPE, WHAT_IF_HEADER } from './foresight-headers.ts'
import type { ForeseenView } from './foresight-view.ts'
import { parseServerSentEvents } from './server-sent-events.ts'
import { type ApiTarget, type Transport, type TransportResponse } from './transport.ts'

/** A frozen host still takes connections, so only the missing answer shows it. */
export const HEADERS_TIMEOUT_MS = 2500
/** A host that takes an upload may be slow with the last fsync. */
const UPLOAD_TIMEOUT_MS = 30_000
/** A stream sends something at least every second; the reader gives it up after this long without. */
export const STREAM_SILENCE_MS = 5000
/** Between two rounds over all hosts while the cluster cannot decide. */
const ROUND_PAUSE_MS = 250

export interface ClientOptions {
  readonly targets: readonly ApiTarget[]
  readonly transport: Transport
  /** Needed over TCP; a unix socket is guarded by its file's permissions. */
  readonly token?: string
  /** Of a browser that comes by a session's cookie: sent with every change; `auth.whoami` gives it. */
  readonly forgeryToken?: string
  /** How long to go on while every host says that it cannot decide now, as during a failover. Default 8000. */
  readonly patienceMs?: number
  readonly headersTimeoutMs?: number
  /** Nothing is changed: requests that would are answered with the failure `foreseen`, a `ForeseenView` as its cause. */
  readonly whatIf?: boolean
  /** The token of what was foreseen, where the cluster's policy demands it. */
  readonly foreseen?: string
}

export interface CallOptions {
  readonly signal?: AbortSignal
  /** Default: a fresh UUID for each call that changes something. */
  readonly idempotencyKey?: string
  /** A revision: the change is made only when the record still has it (`changed_meanwhile` otherwise). */
  readonly ifMatch?: string
}

interface AnyInput {
  readonly params?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>
  readonly body?: unknown
  readonly upload?: UploadSource
}

export interface StreamBody {
  /** The agent that serves the stream. */
  readonly target: ApiTarget
  readonly body: AsyncIterable<Uint8Array>
}

export class Client {
  readonly #options: ClientOptions
  /** Index of the target that answered last. */
  #preferred = 0

  constructor(options: ClientOptions) {
    this.#options = options
  }

  /** The agent that answered last. */
  get target(): ApiTarget | undefined {
    return this.#options.targets[this.#preferred]
  }

  /** One request and its whole answer. The agent has checked its own response; it is not checked again. */
  async call<E extends Endpoint>(
    endpoint: E,
    ...[input, options]: object extends CallInput<E>
      ? [input?: CallInput<E>, options?: CallOptions]
      : [CallInput<E>, CallOptions?]
  ): Promise<Result<ResponseOf<E>>> {
    const opened = await this.#open(endpoint, (input ?? {}) as AnyInput, options ?? {}, async (response) => {
      const text = await readText(withoutSilence(response.body, STREAM_SILENCE_MS))
      return text === '' ? undefined : JSON.parse(text)
    })
    return opened.ok ? ok(opened.value.content as ResponseOf<E>) : opened
  }

  /** The bytes of a `streams: 'text'` endpoint as they come. The iteration throws when the connection breaks. */
  async stream<E extends Endpoint & { streams: 'text' }>(
    endpoint: E,
    input: CallInput<E>,
    options: CallOptions = {},
  ): Promise<Result<StreamBody>> {
    const opened = await this.#open(endpoint, input as AnyInput, options, async (response) => response.body)
    return opened.ok ? ok({ target: opened.value.target, body: opened.value.content }) : opened
  }

  /**
   * The items of a `streams: 'events'` endpoint as they happen, without end and without gap: when the connection
   * breaks, it goes on from the last item at the next host. Ends by `signal`; throws nothing; a failure that no
   * host can mend is the last thing yielded.
   */
  async *follow<E extends Endpoint & { streams: 'events' }>(
    endpoint: E,
    input: CallInput<E>,
    signal: AbortSignal,
  ): AsyncGenerator<Result<ItemOf<E>>> {
    const seen = new RecentIds()
    const start = input as AnyInput
    let since: string | undefined
    while (!signal.aborted) {
      const query = { ...start.query, follow: true, ...(since === undefined ? {} : { since }) }
      const opened = await this.#open(endpoint, { ...start, query }, { signal }, async (response) => response.body)
      if (!opened.ok) {
        if (!signal.aborted) yield opened
        return
      }
      try {
        for await (const event of parseServerSentEvents(withoutSilence(opened.value.content, STREAM_SILENCE_MS))) {
          if (!seen.add(event.id)) continue
          since = event.id
          yield ok(JSON.parse(event.data) as ItemOf<E>)
        }
      } catch {
        // A broken stream is no end: the loop opens it again, at another host if need be.
      }
      if (signal.aborted) return
      this.#preferNext()
      await pause(ROUND_PAUSE_MS, signal)
    }
  }

  #preferNext(): void {
    this.#preferred = (this.#preferred + 1) % Math.max(1, this.#options.targets.length)
  }

  async #open<Content>(
    endpoint: Endpoint,
    input: AnyInput,
    options: CallOptions,
    read: (response: TransportResponse) => Promise<Content>,
  ): Promise<Result<{ readonly target: ApiTarget; readonly content: Content }>> {
    const { targets, patienceMs = 8000 } = this.#options
    if (targets.length === 0) return fail(failure('bad_request', 'No host of the cluster is known'))
    const request = this.#request(endpoint, input, options)
    const until = performance.now() + patienceMs
    for (;;) {
      const troubles: string[] = []
      let undecided: Failure | undefined
      for (let attempt = 0; attempt < targets.length; attempt++) {
        const target = targets[this.#preferred] as ApiTarget
        if (options.signal?.aborted) return fail(failure('timeout', 'The request was given up'))
        try {
          const response = await this.#options.transport.send(target, request())
          if (response.headers['content-type']?.startsWith(FORESIGHT_MEDIA_TYPE))
            return fail(await readForeseen(response))
          if (response.status < 400) return ok({ target, content: await read(response) })
          const problem = await readProblem(response)
          if (!ANOTHER_HOST_MAY_KNOW.has(problem.code)) return fail(problem)
          undecided = problem
          troubles.push(`${targetName(target)}: ${problem.message}`)
        } catch (error) {
          if (options.signal?.aborted) return fail(failure('timeout', 'The request was given up', { cause: error }))
          troubles.push(`${targetName(target)}: ${error instanceof Error ? error.message : String(error)}`)
        }
        this.#preferNext()
      }
      if (!undecided) return fail(unreachable(troubles))
      if (performance.now() >= until) return fail({ ...undecided, cause: troubles })
      await pause(ROUND_PAUSE_MS, options.signal)
    }
  }

  /** A function, since an upload's body is opened anew for each attempt. */
  #request(endpoint: Endpoint, input: AnyInput, options: CallOptions) {
    const { token, forgeryToken, headersTimeoutMs = HEADERS_TIMEOUT_MS } = this.#options
    const headers: Record<string, string> = { accept: 'application/json' }
    if (token !== undefined) headers['authorization'] = `Bearer ${token}`
    if (!isRead(endpoint)) {
      headers['idempotency-key'] = options.idempotencyKey ?? crypto.randomUUID()
      if (forgeryToken !== undefined) headers['x-stead-forgery-token'] = forgeryToken
    }
    if (isChange(endpoint) && this.#options.whatIf) headers[WHAT_IF_HEADER] = 'yes'
    if (isChange(endpoint) && this.#options.foreseen !== undefined) headers[FORESEEN_HEADER] = this.#options.foreseen
    if (options.ifMatch !== undefined) headers['if-match'] = `"${options.ifMatch}"`
    if (endpoint.body) headers['content-type'] = 'application/json'
    if (input.upload) {
      headers['content-type'] = 'application/octet-stream'
      headers['content-length'] = String(input.upload.sizeBytes)
    }
    const waitMs = Number(input.query?.['waitMs'] ?? 0)
    const timeoutMs = input.upload ? UPLOAD_TIMEOUT_MS : (endpoint.answerWithinMs ?? headersTimeoutMs) + waitMs
    return () => ({
      method: endpoint.method,
      path: pathOf(endpoint, input),
      headers,
      headersTimeoutMs: timeoutMs,
      ...(options.signal ? { signal: options.signal } : {}),
      ...(input.upload ? { body: input.upload.open() } : endpoint.body ? { body: JSON.stringify(input.body) } : {}),
    })
  }
}

function isChange(endpoint: Endpoint): boolean {
  return !isRead(endpoint) && endpoint.whatIf !== 'harmless'
}

export function createClient(options: ClientOptions): Client {
  return new Client(options)
}

/** Of these one host's word is not the cluster's; and a key makes sending again safe. */
const ANOTHER_HOST_MAY_KNOW: ReadonlySet<FailureCode> = new Set([
  'no_quorum',
  'store_timeout',
  'host_unreachable',
  'secrets_locked',
])

function unreachable(troubles: readonly string[]): Failure {
  return failure('host_unreachable', `No host of the cluster answers (${troubles.join('; ')})`, {
    // As Node says it of whatever is wrong with one.
    hint: troubles.some((trouble) => trouble.includes('certificate'))
      ? 'The authority that is believed here has not signed what they show. Was it replaced? `stead login URL` shows the present one'
      : 'Check that the hosts run and that their agents are up; in a lab, see `stead lab status`.',
    cause: troubles,
  })
}

function targetName(target: ApiTarget): string {
  return target.host ?? ('url' in target ? target.url : target.unix)
}

function pathOf(endpoint: Endpoint, input: AnyInput): string {
  const path = endpoint.path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(input.params?.[name] ?? ''))
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(input.query ?? {})) if (value !== undefined) query.set(name, String(value))
  return query.size === 0 ? path : `${path}?${query.toString()}`
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of body) text += decoder.decode(chunk, { stream: true })
  return text + decoder.decode()
}

async function readForeseen(response: TransportResponse): Promise<Failure> {
  const view = JSON.parse(await readText(withoutSilence(response.body, STREAM_SILENCE_MS))) as ForeseenView
  return failure('foreseen', view.summary, { cause: view })
}

async function readProblem(response: TransportResponse): Promise<Failure> {
  const text = await readText(withoutSilence(response.body, STREAM_SILENCE_MS))
  try {
    const problem: unknown = JSON.parse(text)
    if (isProblem(problem)) return failureFromProblem(problem)
  } catch {
    // Not JSON; handled below like any other text.
  }
  if (response.status === 414 || response.status === 431)
    return failure('bad_request', 'The request is longer than an agent takes', {
      hint: 'A name in it is too long: no name has more than 63 characters',
    })
  // An answer to HEAD has no body: only the status tells.
  const code: FailureCode =
    response.status === 404 ? 'not_found' : response.status === 401 ? 'unauthorized' : 'internal'
  return failure(
    code,
    `The agent answered with HTTP status ${response.status}`,
    text === '' ? {} : { cause: text.slice(0, 500) },
  )
}

/** Throws when nothing comes for `silenceMs`: heartbeats come each second, so the host is frozen or cut off. */
export async function* withoutSilence(body: AsyncIterable<Uint8Array>, silenceMs: number): AsyncGenerator<Uint8Array> {
  const source = body[Symbol.asyncIterator]()
  try {
    for (;;) {
      let timer: ReturnType<typeof setTimeout> | undefined
      const silence = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`nothing came for ${silenceMs} ms`)), silenceMs)
      })
      const next = await Promise.race([source.next(), silence]).finally(() => clearTimeout(timer))
      if (next.done) return
      yield next.value
    }
  } finally {
    // Not awaited: a source that hangs would hang its own end as well.
    void Promise.resolve(source.return?.()).catch(() => undefined)
  }
}

async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done, { once: true })
    function done() {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
  })
}

const RECENT_IDS_MAX = 2000

/** Remembers what was seen lately, since a stream that goes on may repeat what several hosts reported at once. */
class RecentIds {
  readonly #ids = new Set<string>()

  /** False when it was seen before. */
  add(id: string): boolean {
    if (this.#ids.has(id)) return false
    this.#ids.add(id)
    if (this.#ids.size > RECENT_IDS_MAX) for (const oldest of this.#ids) return this.#ids.delete(oldest)
    return true
  }
}
