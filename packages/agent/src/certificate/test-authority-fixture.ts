/** Real daemons for tests: Let's Encrypt's own test authority (pebble), and a name server that takes updates (knot). */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EndsLater } from '../backend/backend-fixture.ts'
import { freePorts, untilOpen } from '../free-port-fixture.ts'
import { makePair } from '../http/web-certificate.ts'

/** Where daemons run, and how they are started: here on loopback; in a lab's namespace there. */
export interface Place {
  readonly address: string
  readonly start: (command: string, args: readonly string[], env: Readonly<Record<string, string>>) => ChildProcess
}

export const LOOPBACK: Place = {
  address: '127.0.0.1',
  start: (command, args, env) => spawn(command, args, { stdio: 'ignore', env: { ...process.env, ...env } }),
}

/** Of a test that never ends a daemon by chance: each ends with the test, and its folder with it. */
function folderOf(context: EndsLater, name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `stead-${name}-`))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function endsWith(context: EndsLater, daemon: ChildProcess): void {
  context.after(async () => {
    if (daemon.exitCode !== null || daemon.signalCode !== null) return
    daemon.kill('SIGTERM')
    await once(daemon, 'exit')
  })
}

/** Why tests that need an authority are left out; false: there is one. */
export const WITHOUT_AUTHORITY = existsSync('/usr/bin/pebble') ? false : 'this Debian has no package `pebble`'

export const TSIG = { name: 'stead', secret: 'c3RlYWQtdGVzdC1zZWNyZXQtMDEyMzQ1Njc4OWFiY2RlZg==' } as const

export interface TestNames {
  readonly port: number
}

/** The zone `example.test`, with these names at these addresses; who has the key may change it. */
export async function startNameServer(
  context: EndsLater,
  names: Readonly<Record<string, readonly string[]>>,
  place = LOOPBACK,
  port = 0,
): Promise<TestNames> {
  const folder = folderOf(context, 'names')
  const [free = 0] = await freePorts(1)
  const at = port || free
  mkdirSync(join(folder, 'run'))
  const records = Object.entries(names).flatMap(([name, addresses]) => addresses.map((one) => `${name} A ${one}`))
  writeFileSync(
    join(folder, 'example.test.zone'),
    `$ORIGIN example.test.\n$TTL 1\n@ SOA ns hostmaster 1 60 60 600 1\n@ NS ns\nns A ${place.address}\n${records.join('\n')}\n`,
  )
  writeFileSync(
    join(folder, 'knot.conf'),
    `server:
    rundir: "${folder}/run"
    user: root:root
    listen: ${place.address}@${at}
database:
    storage: "${folder}/run"
key:
  - id: ${TSIG.name}
    algorithm: hmac-sha256
    secret: "${TSIG.secret}"
acl:
  - id: updates
    key: ${TSIG.name}
    action: update
template:
  - id: default
    storage: "${folder}"
zone:
  - domain: example.test
    file: example.test.zone
    acl: updates
`,
  )
  endsWith(context, place.start('knotd', ['-c', join(folder, 'knot.conf')], {}))
  if (place === LOOPBACK) await untilOpen(at)
  return { port: at }
}

export interface TestAuthority {
  readonly directoryUrl: string
  /** By which its own TLS certificate is believed. */
  readonly authorityPem: string
  /** Where it asks names for their proof. */
  readonly httpPort: number
  /** Where it tells the root of what it gives. */
  readonly rootUrl: string
}

export interface TestAuthorityOptions {
  readonly names: TestNames
  readonly place?: Place
  readonly httpPort?: number
  readonly port?: number
  readonly externalAccounts?: Readonly<Record<string, string>>
  /** Of a hundred good nonces so many are refused. */
  readonly noncesRefused?: number
  /** Up to so long it waits before it looks at a name; not at all when absent. */
  readonly looksAfterSeconds?: number
}

/** Strict, and with every nonce of five refused unless it is said: what a client must bear. */
export async function startAuthority(
  context: EndsLater,
  { names, place = LOOPBACK, externalAccounts, noncesRefused = 20, looksAfterSeconds, ...wanted }: TestAuthorityOptions,
): Promise<TestAuthority> {
  const folder = folderOf(context, 'authority')
  const [free = 0, management = 0, httpFree = 0, tlsPort = 0] = await freePorts(4)
  const port = wanted.port ?? free
  const httpPort = wanted.httpPort ?? httpFree
  const pair = await makePair({
    ...{ clusterName: 'the test authority', name: 'authority.test', names: [place.address], nowMs: Date.now() },
  })
  writeFileSync(join(folder, 'tls.pem'), pair.certificate)
  writeFileSync(join(folder, 'tls.key'), pair.key, { mode: 0o600 })
  const pebble = {
    ...{ listenAddress: `${place.address}:${port}`, managementListenAddress: `${place.address}:${management}` },
    ...{ certificate: join(folder, 'tls.pem'), privateKey: join(folder, 'tls.key'), httpPort, tlsPort },
    ...{ ocspResponderURL: '', externalAccountBindingRequired: externalAccounts !== undefined },
    ...(externalAccounts ? { externalAccountMACKeys: externalAccounts } : {}),
  }
  writeFileSync(join(folder, 'pebble.json'), JSON.stringify({ pebble }))
  const args = ['-strict', '-config', join(folder, 'pebble.json'), '-dnsserver', `${place.address}:${names.port}`]
  const pace: Record<string, string> =
    looksAfterSeconds === undefined ? { PEBBLE_VA_NOSLEEP: '1' } : { PEBBLE_VA_SLEEPTIME: String(looksAfterSeconds) }
  const env = { ...pace, PEBBLE_AUTHZREUSE: '0', PEBBLE_WFE_NONCEREJECT: String(noncesRefused) }
  endsWith(context, place.start('pebble', args, env))
  if (place === LOOPBACK) await untilOpen(port)
  const authorityPem = pair.certificate.slice(pair.certificate.lastIndexOf('-----BEGIN'))
  return {
    ...{ directoryUrl: `https://${place.address}:${port}/dir`, authorityPem, httpPort },
    rootUrl: `https://${place.address}:${management}/roots/0`,
  }
}

/** Of an authority on loopback. */
export function rootOf({ rootUrl, authorityPem }: TestAuthority): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request(rootUrl, { ca: authorityPem, agent: false }, async (answer) =>
      resolve(Buffer.concat(await answer.toArray()).toString()),
    )
    asked.once('error', reject)
    asked.end()
  })
}
