/** A cluster of two hosts, whose API tests ask as browsers and programs do: over TCP, nobody being known beforehand. */
import type { TestContext } from 'node:test'
import { request as httpRequest } from 'node:http'
import { Secret, TOTP } from 'otpauth'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { accessControl } from '../access/access-control.ts'
import { TestBackend } from '../backend/backend-fixture.ts'
import { startApiServer, type ApiServer, type ServerCertificate } from '../http/api-server.ts'
import { CLIENT_LIMITS } from '../http/client-limits.ts'
import { realClock } from '../real-clock.ts'

export const PASSWORD = 'correct horse battery'

export interface Answer {
  readonly status: number
  readonly headers: Record<string, string | string[] | undefined>
  readonly json: any
  /** Cookies that were set, by name. */
  readonly cookies: Readonly<Record<string, string>>
}

export interface Asked {
  readonly body?: object
  readonly token?: string
  readonly cookies?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
}

export type Ask = (method: string, path: string, asked?: Asked) => Promise<Answer>

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent }

export class SignInCluster {
  readonly backend: TestBackend
  /** Two hosts of the same cluster. */
  readonly h1: Ask
  readonly h2: Ask
  readonly ports: readonly number[]
  /** Of h1, over TLS. */
  readonly url: string
  readonly authority: string
  readonly #clock: { readonly begunMs: number; passedMs: number }

  private constructor(
    backend: TestBackend,
    ports: readonly number[],
    clock: { readonly begunMs: number; passedMs: number },
    authority: string,
  ) {
    this.backend = backend
    this.ports = ports
    this.h1 = asking(ports[0] ?? 0)
    this.h2 = asking(ports[1] ?? 0)
    this.#clock = clock
    this.url = `https://127.0.0.1:${ports[2] ?? 0}`
    this.authority = authority
  }

  static async start(context: TestContext, tls?: ServerCertificate): Promise<SignInCluster> {
    const cluster = new ClusterFixture(3)
    cluster.guestWithDisk('web', ['h1', 'h2'])
    const passed = { begunMs: realClock.wallMs(), passedMs: 0 }
    // It stands still while nobody says otherwise, however long the test takes.
    const clock: Clock = {
      monotonicMs: () => passed.passedMs,
      wallMs: () => passed.begunMs + passed.passedMs,
      sleep: (ms, signal) => realClock.sleep(ms, signal),
    }
    const first = await TestBackend.start(context, cluster, clock)
    const servers: ApiServer[] = []
    for (const backend of [first, await first.onHost(context, 'h2', clock)]) {
      const { store, mirror } = backend
      const server = await startApiServer({
        listen: [{ host: '127.0.0.1', port: 0 }, ...(tls ? [{ host: '127.0.0.1', port: 0, tls }] : [])],
        host: 'h1',
        log: silent,
        ...accessControl(backend.unguarded, { store, mirror, clock, audit: backend.audit }),
        limits: { ...CLIENT_LIMITS, strangerRequestsBurst: 10_000 },
      })
      context.after(() => server.close())
      servers.push(server)
    }
    const portOf = (host: number, listener: number) =>
      (servers[host]?.addresses[listener] as { port: number } | undefined)?.port ?? 0
    return new SignInCluster(first, [portOf(0, 0), portOf(1, 0), portOf(0, 1)], passed, tls?.certificate ?? '')
  }

  /** Without anybody having to wait. */
  pass(ms: number): void {
    this.#clock.passedMs += ms
  }

  get #nowMs(): number {
    return this.#clock.begunMs + this.#clock.passedMs
  }

  /** What an app shows that has this secret; `later`: after so many half minutes. */
  codeOf(secret: string, later = 0): string {
    return new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: this.#nowMs + later * 30_000 })
  }

  /** A user with the password `PASSWORD`, who may what the role says on `/`. */
  async user(name: string, role?: string): Promise<void> {
    const { backend } = this
    await backend.must('user.create', { body: { name } })
    if (role) await backend.must('permission.grant', { body: { subject: { kind: 'user', name }, role, path: '/' } })
    const { password } = await backend.must('user.reset-password', { params: { user: name } })
    const first = await this.signIn(name, password)
    const { status, json } = await this.h1('PUT', '/v1/auth/password', {
      token: first.json.token,
      body: { next: PASSWORD },
    })
    if (status !== 200) throw new Error(JSON.stringify(json))
    await this.h1('POST', '/v1/auth/sign-out', { token: json.token })
  }

  signIn(user: string, password = PASSWORD, more: object = {}, asked: Asked = {}): Promise<Answer> {
    return this.h1('POST', '/v1/auth/sign-in', { ...asked, body: { user, password, ...more } })
  }
}

function asking(port: number): Ask {
  return (method, path, { body, token, cookies = {}, headers = {} } = {}) =>
    new Promise((resolve, reject) => {
      const cookie = Object.entries(cookies).map(([name, value]) => `${name}=${value}`)
      const request = httpRequest(
        {
          ...{ host: '127.0.0.1', port, method, path, agent: false },
          headers: {
            ...(body ? { 'content-type': 'application/json' } : {}),
            ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
            ...(cookie.length > 0 ? { cookie: cookie.join('; ') } : {}),
            ...headers,
          },
        },
        async (response) => {
          const text = Buffer.concat(await response.toArray()).toString()
          const set = (response.headers['set-cookie'] ?? []).map((line) => /^([^=]+)=([^;]*)/.exec(line) ?? [])
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            json: text === '' ? undefined : JSON.parse(text),
            cookies: Object.fromEntries(set.map(([, name = '', value = '']) => [name, value])),
          })
        },
      )
      request.once('error', reject)
      request.end(body ? JSON.stringify(body) : undefined)
    })
}
