/** Which cluster the command line talks to: a small JSON file, written by `stead lab up` or by the administrator. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ApiTarget } from '@stead/api/transport.ts'

export interface SteadContext {
  readonly name: string
  readonly endpoints: readonly ApiTarget[]
  /** PEM of the only authority that is believed. */
  readonly authority?: string
  readonly token?: string
  /** By user: what makes this a known device of his at the next sign-in. */
  readonly devices?: Readonly<Record<string, string>>
}

export function contextPath(env: NodeJS.ProcessEnv): string {
  return (
    env['STEAD_CONTEXT'] ??
    join(env['XDG_CONFIG_HOME'] ?? join(env['HOME'] ?? homedir(), '.config'), 'stead', 'context.json')
  )
}

/** Of this host's agent: only its root can open it. */
const OWN_SOCKET = '/var/lib/stead/agent.sock'

/**
 * `{ name, endpoints: [{ host, unix } | { host, url }], authority, token }`. Where nobody has chosen a cluster, root of a host
 * means the one that the host is of.
 */
export async function readContext(env: NodeJS.ProcessEnv, ownSocket = OWN_SOCKET): Promise<Result<SteadContext>> {
  const path = contextPath(env)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    const absent = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    if (absent && env['STEAD_CONTEXT'] === undefined && existsSync(ownSocket))
      return ok({ name: 'this host', endpoints: [{ unix: ownSocket }] })
    const message = absent
      ? `No cluster is chosen: there is no ${path}`
      : `The context ${path} cannot be read: ${(cause as Error).message}`
    const hint =
      'Sign in with `stead login`, start a lab with `stead lab up`, or point STEAD_CONTEXT to a context file.'
    return fail(failure('bad_request', message, { hint, cause }))
  }
  const wrong = (why: string, cause?: unknown) =>
    fail<SteadContext>(
      failure('bad_request', `The context ${path} is not valid: ${why}`, {
        hint: 'It holds {"name", "endpoints": [{"host", "unix"} or {"host", "url"}], "authority", "token"}.',
        cause,
      }),
    )
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    return wrong((cause as Error).message, cause)
  }
  if (typeof parsed !== 'object' || parsed === null) return wrong('it is no object')
  const { name, endpoints, token, authority, devices } = parsed as Record<string, unknown>
  if (!Array.isArray(endpoints) || endpoints.length === 0) return wrong('`endpoints` is missing or empty')
  if (!endpoints.every(isTarget)) return wrong('an endpoint has neither `unix` nor `url`')
  if (token !== undefined && typeof token !== 'string') return wrong('`token` is no text')
  if (authority !== undefined && typeof authority !== 'string') return wrong('`authority` is no text')
  return ok({
    name: typeof name === 'string' ? name : 'default',
    endpoints: endpoints.map((target) =>
      'url' in target && authority !== undefined ? { ...target, authority } : target,
    ),
    ...(token === undefined ? {} : { token }),
    ...(authority === undefined ? {} : { authority }),
    ...(typeof devices === 'object' && devices !== null ? { devices: devices as Record<string, string> } : {}),
  })
}

/** Whole, and for its owner only: it holds what opens the cluster. */
export async function writeContext(env: NodeJS.ProcessEnv, context: SteadContext): Promise<void> {
  const path = contextPath(env)
  const { endpoints, ...rest } = context
  // The authority stands there once.
  const targets = endpoints.map((target) =>
    'url' in target ? { ...(target.host === undefined ? {} : { host: target.host }), url: target.url } : target,
  )
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await writeFile(`${path}.new`, `${JSON.stringify({ ...rest, endpoints: targets }, null, 2)}\n`, { mode: 0o600 })
  await rename(`${path}.new`, path)
}

function isTarget(value: unknown): value is ApiTarget {
  if (typeof value !== 'object' || value === null) return false
  if ('unix' in value) return typeof value.unix === 'string'
  return 'url' in value && typeof value.url === 'string' && URL.canParse(value.url)
}
