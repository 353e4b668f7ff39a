/**
 * The web interface, which every agent serves from its own files: what `./dev web build` has made of `packages/web`.
 * Nobody is asked who he is for them, since they hold nothing of the cluster.
 */
import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import type { FastifyReply, FastifyRequest } from 'fastify'

export type WebFiles = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
}

/** One folder deep at most; no name begins with a dot, so none leads out of the folder. */
const FILE_PATH = /^\/(?:assets\/)?[A-Za-z0-9_-][A-Za-z0-9._-]*$/

/** The build writes it wherever a script or a style needs the nonce of the answer that carries it. */
export const NONCE_PLACEHOLDER = 'STEAD-NONCE'

/** True for what is not the API's: the files, and the addresses of the interface's pages. */
export function isWebPath({ method, url }: Pick<FastifyRequest, 'method' | 'url'>): boolean {
  return (method === 'GET' || method === 'HEAD') && !/^\/v1(\/|\?|$)/.test(url)
}

/** Where `./dev setup` has put them. */
const BUILT = join(import.meta.dirname, '..', '..', '..', 'web', 'dist')

/** `folder`: where the built files are. When there are none, each answer says how to make them. */
export function webFiles(folder: string = BUILT): WebFiles {
  return async (request, reply) => {
    const path = request.url.split('?')[0] ?? '/'
    common(reply)
    if (extname(path) !== '' && FILE_PATH.test(path)) return sendFile(folder, path, request, reply)
    // Every other address is a page, which the interface finds by itself.
    const index = await contentOf(join(folder, 'index.html'))
    if (!index) {
      const text = 'The web interface has not been built: run `./dev setup`.\n'
      return reply.code(404).type('text/plain; charset=utf-8').send(text)
    }
    const nonce = randomBytes(16).toString('base64')
    reply.header('content-security-policy', contentSecurityPolicy(nonce)).header('cache-control', 'no-store')
    return reply.type(MEDIA_TYPES['.html'] as string).send(index.toString().replaceAll(NONCE_PLACEHOLDER, nonce))
  }
}

async function sendFile(folder: string, path: string, request: FastifyRequest, reply: FastifyReply) {
  const type = MEDIA_TYPES[extname(path)]
  const packed = /\bgzip\b/.test(request.headers['accept-encoding'] ?? '')
    ? await contentOf(join(folder, `${path}.gz`))
    : undefined
  const content = packed ?? (await contentOf(join(folder, path)))
  if (!content || type === undefined)
    return reply.code(404).type('text/plain; charset=utf-8').send(`There is no ${path}\n`)
  const etag = `"${createHash('sha256').update(content).digest('base64url')}"`
  reply.type(type).header('etag', etag).header('vary', 'accept-encoding')
  // Names under `assets` carry a digest of the content: what is there once never changes.
  reply.header('cache-control', path.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache')
  if (packed) reply.header('content-encoding', 'gzip')
  if (request.headers['if-none-match'] === etag) return reply.code(304).send()
  return reply.send(content)
}

/**
 * Nothing but the agent's own files, and no inline script. Mantine writes the theme's variables into a style element,
 * which is what the nonce is for; styles that scripts set on elements are not inline ones to a browser.
 */
function contentSecurityPolicy(nonce: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

function common(reply: FastifyReply): void {
  reply.header('x-content-type-options', 'nosniff')
  reply.header('referrer-policy', 'no-referrer')
  reply.header('cross-origin-opener-policy', 'same-origin')
}

async function contentOf(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch {
    return undefined
  }
}
