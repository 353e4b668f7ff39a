/** Who has the code that root of the host was shown may set it up; nobody else is told anything. */
import { createClient, type Client } from '@stead/api/client.ts'
import { fetchTransport } from '@stead/api/transport.ts'

const CODE_KEY = 'stead.setup'

/** The code comes behind `#`, which browsers send to nobody, and does not stay in the address. */
export function takeCode(): string {
  const [, code] = /^#code=(.+)$/.exec(location.hash) ?? []
  if (code !== undefined) {
    sessionStorage.setItem(CODE_KEY, decodeURIComponent(code))
    history.replaceState(null, '', location.pathname)
  }
  return sessionStorage.getItem(CODE_KEY) ?? ''
}

export function keepCode(code: string): void {
  sessionStorage.setItem(CODE_KEY, code)
}

export function setupClient(code: string): Client {
  return createClient({ targets: [{ url: location.origin }], transport: fetchTransport(), token: code })
}
