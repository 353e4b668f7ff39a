/** `stead certificate`: what browsers are shown, from an authority that they know. */
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import type { CallInput } from '@stead/api/endpoint.ts'
import type { CertificateView } from '@stead/api/endpoints/certificate.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { formatFields } from '../output.ts'
import { badArgument, parseCount, parseDuration } from '../quantities.ts'
import { action, valueOf, type Terminal } from '../session.ts'
import { finished, settle } from '../waiting.ts'

type Options = Readonly<Record<string, unknown>>
type Wanted = CallInput<(typeof ENDPOINTS)['certificate.order']>['body']

/** Proofs wait for authorities and for servers of zones. */
const PATIENCE_MS = 300_000

export function addCertificateCommands(program: Command, terminal: Terminal): void {
  const certificate = program
    .command('certificate')
    .description('The certificate of the web, given and renewed by an authority that speaks ACME')
  certificate
    .command('show')
    .description(ENDPOINTS['certificate.show'].summary)
    .action(
      action(terminal, async (session) => {
        const view = valueOf(await (await session.client()).call(ENDPOINTS['certificate.show']))
        session.print(view, () => textOf(view))
      }),
    )
  certificate
    .command('order')
    .description(ENDPOINTS['certificate.order'].summary)
    .argument('<names...>', 'what it is for; `*.example.org` by DNS only')
    .option('--agree-terms', "you have read the authority's terms and agree to them")
    .option('--directory <url>', "the authority's directory; Let's Encrypt's when absent")
    .option('--authority <file>', "PEM by which the directory's own certificate is believed: a company's authority")
    .option('--email <address>', 'where the authority writes to')
    .option('--external-account-id <id>', 'of an account that the authority knows from elsewhere')
    .option('--external-account-key-file <file>', 'its key, base64url, as the authority has shown it')
    .option('--http-port <port>', 'where the hosts answer what comes to port 80 of the names')
    .option('--dns-server <server>', 'prove the names by DNS: who takes updates of the zone (RFC 2136)')
    .option('--dns-port <port>', 'of that server; 53 when absent')
    .option('--dns-zone <zone>', 'found by asking the server when absent')
    .option('--dns-key-name <name>', 'of the TSIG key')
    .option('--dns-key-file <file>', 'the TSIG key, base64')
    .option('--dns-algorithm <algorithm>', 'of the TSIG key; hmac-sha256 when absent')
    .option('--dns-settle <time>', 'until all servers of the zone know what one was told; 15s when absent')
    .action(
      action(terminal, async (session, [names], options) => {
        const client = await session.client()
        const body = { ...(await wantedBy(options)), names: names as unknown as string[] }
        if (options['agreeTerms'] !== true) {
          const { directoryUrl, authorityPem } = body
          const asked = { ...(directoryUrl ? { directoryUrl } : {}), ...(authorityPem ? { authorityPem } : {}) }
          const { termsOfService } = valueOf(await client.call(ENDPOINTS['certificate.look'], { body: asked }))
          throw badArgument(
            'The authority has terms that must be agreed to',
            `Read ${termsOfService ?? 'them at the authority'}, then repeat this with --agree-terms.`,
          )
        }
        const begun = valueOf(await client.call(ENDPOINTS['certificate.order'], { body }))
        const { operation } = begun
        finished(
          session,
          await settle(session, client, operation, PATIENCE_MS),
          `there is a certificate for ${body.names[0]}`,
        )
      }),
    )
  certificate
    .command('renew')
    .description(ENDPOINTS['certificate.renew'].summary)
    .action(
      action(terminal, async (session) => {
        const client = await session.client()
        const { operation } = valueOf(await client.call(ENDPOINTS['certificate.renew']))
        finished(session, await settle(session, client, operation, PATIENCE_MS), 'there is a new certificate')
      }),
    )
  certificate
    .command('forget')
    .description(ENDPOINTS['certificate.forget'].summary)
    .option('--revoke', 'have the authority revoke it first: somebody else may have its key')
    .action(
      action(terminal, async (session, _args, { revoke }) => {
        const query = revoke === true ? { revoke: true } : {}
        valueOf(await (await session.client()).call(ENDPOINTS['certificate.forget'], { query }))
        session.print({ forgotten: true }, () => "hosts show the cluster's own certificate again\n")
      }),
    )
}

async function wantedBy(options: Options): Promise<Omit<Wanted, 'names'>> {
  const { directory, authority, email, externalAccountId: keyId, externalAccountKeyFile: keyFile } = options
  if ((keyId === undefined) !== (keyFile === undefined))
    throw badArgument(
      'An external account has an id and a key',
      'Give --external-account-id and --external-account-key-file.',
    )
  return {
    agreesToTerms: true,
    ...(typeof directory === 'string' ? { directoryUrl: directory } : {}),
    ...(typeof authority === 'string' ? { authorityPem: await textFrom(authority, '--authority') } : {}),
    ...(typeof email === 'string' ? { email } : {}),
    ...(typeof keyId === 'string' && typeof keyFile === 'string'
      ? { externalAccount: { keyId, hmacKey: await keyFrom(keyFile, '--external-account-key-file') } }
      : {}),
    ...(await proofBy(options)),
  }
}

async function proofBy(options: Options): Promise<Pick<Wanted, 'proof'>> {
  const { httpPort, dnsServer: server, dnsPort, dnsZone, dnsKeyName, dnsKeyFile, dnsAlgorithm, dnsSettle } = options
  if (typeof server !== 'string')
    return httpPort === undefined ? {} : { proof: { kind: 'http', port: parseCount(String(httpPort), '--http-port') } }
  if (httpPort !== undefined) throw badArgument('--http-port and --dns-server', 'Give one of them.')
  if (typeof dnsKeyName !== 'string' || typeof dnsKeyFile !== 'string')
    throw badArgument('Updates of a zone are signed', 'Give --dns-key-name and --dns-key-file.')
  return {
    proof: {
      ...{ kind: 'dns', server, keyName: dnsKeyName, keySecret: await keyFrom(dnsKeyFile, '--dns-key-file') },
      ...(dnsPort === undefined ? {} : { port: parseCount(String(dnsPort), '--dns-port') }),
      ...(typeof dnsZone === 'string' ? { zone: dnsZone } : {}),
      // Which there are, the server knows best.
      ...(typeof dnsAlgorithm === 'string' ? { algorithm: dnsAlgorithm as 'hmac-sha256' } : {}),
      ...(dnsSettle === undefined ? {} : { settleMs: parseDuration(String(dnsSettle), '--dns-settle') }),
    },
  }
}

async function keyFrom(path: string, option: string): Promise<string> {
  return (await textFrom(path, option)).trim()
}

function textFrom(path: string, option: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: unknown) => {
    throw badArgument(`${option}: ${path} cannot be read: ${(cause as Error).message}`)
  })
}

const STANDINGS: Record<CertificateView['standing'], string> = {
  none: "none is asked for: hosts show the cluster's own",
  ordering: 'is being asked for',
  valid: 'valid',
  failing: 'the last attempt failed',
  expired: 'expired',
}

function textOf({ standing, wanted, given, renewAt, failing }: CertificateView): string {
  return formatFields([
    ['state', STANDINGS[standing]],
    ['names', wanted?.names.join(', ') ?? null],
    ['authority', wanted?.directoryUrl ?? null],
    ['account', wanted?.externalAccount ?? wanted?.email ?? null],
    ['proved by', wanted ? proofText(wanted.proof) : null],
    ['issuer', given?.issuer ?? null],
    ['valid until', given ? `${given.notAfter} (${given.daysLeft} days)` : null],
    ['renewed at', renewAt],
    ['fingerprint', given ? `SHA256:${given.fingerprint}` : null],
    ['why', failing?.message ?? null],
    ['hint', failing?.hint ?? null],
    ['attempts', failing?.attempts ?? null],
    ['next attempt', failing?.nextAt ?? null],
  ])
}

function proofText(proof: NonNullable<CertificateView['wanted']>['proof']): string {
  if (proof.kind === 'http') return proof.port === 80 ? 'port 80' : `port 80, which arrives at port ${proof.port}`
  return `DNS: updates to ${proof.server}:${proof.port}, key ${proof.keyName}`
}
