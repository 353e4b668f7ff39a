/** The schemas of `core/model/web-certificate.ts`. */
import { z } from 'zod'
import { wallMs, wholeNumber } from './record-values.ts'
import { secret } from './secrets.ts'

const proofSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('http'), port: wholeNumber().describe('Where the hosts answer') }),
  z.object({
    kind: z.literal('dns'),
    server: z.string(),
    port: wholeNumber(),
    zone: z.string().exactOptional(),
    keyName: z.string(),
    algorithm: z.string(),
    keySecret: secret(z.string()),
    settleMs: wholeNumber(),
  }),
])

export const wantedCertificateSchema = z.object({
  names: z.array(z.string()),
  directoryUrl: z.string(),
  authorityPem: z.string().exactOptional(),
  email: z.string().exactOptional(),
  externalAccount: z.object({ keyId: z.string(), hmacKey: secret(z.string()) }).exactOptional(),
  proof: proofSchema,
  agreedAt: wallMs('When its terms were agreed to'),
})

export const certificateProgressSchema = z.object({
  given: z
    .object({
      fingerprint: z.string(),
      names: z.array(z.string()),
      issuer: z.string(),
      notBefore: z.number(),
      notAfter: z.number(),
    })
    .exactOptional(),
  renewAt: wallMs('When the next one is due; 0: now'),
  order: z
    .object({
      url: z.string(),
      finalizeUrl: z.string(),
      begunAt: z.number(),
      challenges: z.array(z.object({ name: z.string(), token: z.string(), answer: z.string(), url: z.string() })),
      told: z.boolean().describe('The authority was told to look'),
      lookAt: z.number(),
    })
    .exactOptional(),
  hintAt: wallMs('When the authority is asked whether it wants an earlier renewal').exactOptional(),
  failing: z
    .object({
      since: z.number(),
      attempts: wholeNumber(),
      nextAt: z.number(),
      message: z.string(),
      hint: z.string().exactOptional(),
    })
    .exactOptional(),
})
