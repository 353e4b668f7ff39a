/** The certificate of the web from an authority that speaks ACME. */
import { z } from 'zod'
import { endpoint } from '../endpoint.ts'
import { started } from './answers.ts'
import { noContent, queryBoolean } from './parameters.ts'

const NAMES_MAX = 20
const PEM_LENGTH_MAX = 64 * 1024
export const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory'
export const TSIG_ALGORITHMS = ['hmac-sha256', 'hmac-sha384', 'hmac-sha512', 'hmac-sha1', 'hmac-md5'] as const

/** What is written into a zone, and into `nsupdate`: nothing but these characters. */
const DNS_NAME = /^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?$/
const dnsName = z.string().regex(DNS_NAME, 'must be a DNS name in lower-case letters, without a dot at its end')
const certificateName = z
  .string()
  .regex(/^(\*\.)?[^*]+$/, 'may begin with `*.`, and have no other star')
  .refine(
    (name) => DNS_NAME.test(name.replace(/^\*\./, '')) && name.includes('.') && !/^[0-9.]+$/.test(name),
    'must be a DNS name with a dot in it, in lower-case letters; authorities give none for addresses',
  )
const directoryUrl = z
  .string()
  .max(2_048)
  .refine(isHttps, 'must be an https:// address without a user or password in it')
  .describe("The authority's directory")
const authorityPem = z
  .string()
  .max(PEM_LENGTH_MAX)
  .regex(/-----BEGIN CERTIFICATE-----/, 'must be a certificate in PEM')
  .describe("Whose certificates the directory's own is believed by; those that every machine knows when absent")
const keyText = z.string().regex(/^[A-Za-z0-9+/_-]{16,1024}={0,2}$/, 'must be a key in base64')

const proof = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('http'),
    port: z.int().min(1).max(65_535).default(80).describe('Where the hosts answer what comes to port 80 of the names'),
  }),
  z.strictObject({
    kind: z.literal('dns'),
    server: z
      .string()
      .regex(/^[A-Za-z0-9.:_-]{1,253}$/, 'must be a name or an address')
      .describe('Takes updates of the zone by RFC 2136'),
    port: z.int().min(1).max(65_535).default(53),
    zone: dnsName.optional().describe('Found by asking the server when absent'),
    keyName: dnsName.describe('Of the TSIG key'),
    algorithm: z.enum(TSIG_ALGORITHMS).default('hmac-sha256'),
    keySecret: keyText
      .optional()
      .describe('Of the TSIG key, base64; nobody can read it again. Absent: as it is kept of this key at this server'),
    settleMs: z
      .int()
      .min(0)
      .max(600_000)
      .default(15_000)
      .describe('Until all servers of the zone know what one was told, ms'),
  }),
])

const moment = z.string().nullable().describe('ISO 8601, UTC')

export const certificateViewSchema = z.object({
  standing: z
    .enum(['none', 'ordering', 'valid', 'failing', 'expired'])
    .describe('`none`: no authority is asked; `failing`: the last attempt to get the next one'),
  wanted: z
    .object({
      names: z.array(z.string()),
      directoryUrl: z.string(),
      authorityPem: z
        .string()
        .nullable()
        .describe("By which the directory's own certificate is believed; null: by those that every machine knows"),
      email: z.string().nullable(),
      externalAccount: z.string().nullable().describe("The key's id"),
      proof: z.discriminatedUnion('kind', [
        z.object({ kind: z.literal('http'), port: z.number().int() }),
        z.object({
          kind: z.literal('dns'),
          server: z.string(),
          port: z.number().int(),
          zone: z.string().nullable(),
          keyName: z.string(),
          algorithm: z.string(),
          settleMs: z.number().int(),
        }),
      ]),
      agreedAt: z.string().describe('When its terms were agreed to'),
    })
    .nullable(),
  given: z
    .object({
      names: z.array(z.string()),
      issuer: z.string(),
      fingerprint: z.string().describe('SHA-256, lower-case hexadecimal'),
      notBefore: z.string(),
      notAfter: z.string(),
      daysLeft: z.number().int(),
    })
    .nullable()
    .describe('What hosts show to those who come by one of its names'),
  renewAt: moment.describe('When the next one is due; null: now, or none is wanted'),
  failing: z
    .object({
      since: z.string(),
      attempts: z.number().int(),
      nextAt: z.string().describe('When it is tried again'),
      message: z.string(),
      hint: z.string().nullable(),
    })
    .nullable(),
  revision: z.string().describe('Of what is wanted; for If-Match'),
})
export type CertificateView = z.output<typeof certificateViewSchema>

const MANAGE = { permission: 'cluster.configure', on: 'cluster', whatIf: 'none' } as const
/** Authorities take their time. */
const PATIENCE = { answerWithinMs: 30_000 } as const

export const CERTIFICATE_ENDPOINTS = {
  'certificate.show': endpoint({
    ...{ id: 'certificate.show', method: 'GET', path: '/v1/certificate', permission: 'cluster.view', on: 'cluster' },
    summary: 'Show the certificate of the web that an authority gives, and how its renewal goes',
    response: certificateViewSchema,
    revisionOf: 'certificate',
    status: 200,
  }),
  'certificate.look': endpoint({
    ...{ id: 'certificate.look', method: 'POST', path: '/v1/certificate/authority', ...MANAGE, ...PATIENCE },
    summary: 'Ask an authority for its terms, and whether it demands an external account',
    body: z.strictObject({ directoryUrl: directoryUrl.default(LETS_ENCRYPT), authorityPem: authorityPem.optional() }),
    response: z.object({
      termsOfService: z.string().nullable(),
      website: z.string().nullable(),
      demandsExternalAccount: z.boolean(),
    }),
    unrecorded: true,
    status: 200,
  }),
  'certificate.order': endpoint({
    ...{ id: 'certificate.order', method: 'PUT', path: '/v1/certificate', ...MANAGE },
    summary: 'Have an authority give a certificate of the web, and renew it by itself from then on',
    body: z.strictObject({
      names: z.array(certificateName).min(1).max(NAMES_MAX).describe('What it is for; the first one is its subject'),
      directoryUrl: directoryUrl.default(LETS_ENCRYPT),
      authorityPem: authorityPem.optional(),
      email: z
        .string()
        .max(254)
        .regex(/^[^\s@,?]+@[^\s@,?]+$/, 'must be an address of electronic mail')
        .optional()
        .describe('Where the authority writes to'),
      externalAccount: z
        .strictObject({
          keyId: z.string().min(1).max(512),
          hmacKey: keyText.optional().describe('base64url, as it was given. Absent: as it is kept of this key'),
        })
        .optional()
        .describe('With which the account is one that the authority knows from elsewhere'),
      proof: proof.default({ kind: 'http', port: 80 }).describe('How the authority sees that the names are ours'),
      agreesToTerms: z.literal(true).describe("Somebody has read the authority's terms and agrees to them"),
    }),
    response: started,
    revisionOf: 'certificate',
    status: 202,
    long: true,
  }),
  'certificate.renew': endpoint({
    ...{ id: 'certificate.renew', method: 'POST', path: '/v1/certificate/renewal', ...MANAGE },
    summary: 'Ask the authority for the next certificate of the web now',
    response: started,
    revisionOf: 'certificate',
    status: 202,
    long: true,
  }),
  'certificate.forget': endpoint({
    ...{ id: 'certificate.forget', method: 'DELETE', path: '/v1/certificate', ...MANAGE, ...PATIENCE },
    summary: "End the certificate of the web from an authority: hosts show the cluster's own again",
    query: z.strictObject({
      revoke: queryBoolean.optional().describe('Has the authority revoke it first: somebody else may have its key'),
    }),
    response: noContent,
    revisionOf: 'certificate',
    status: 204,
  }),
} as const

function isHttps(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, username, password, hostname } = new URL(text)
  return protocol === 'https:' && username === '' && password === '' && hostname !== ''
}
