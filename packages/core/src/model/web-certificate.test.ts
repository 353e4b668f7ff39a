import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  certificateStanding,
  certificateStep,
  certificateWarning,
  daysLeft,
  pauseAfterFailure,
  renewalTime,
  type CertificateOrder,
  type CertificateProgress,
  type WantedCertificate,
} from './web-certificate.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const GIVEN = {
  fingerprint: '80000000ff',
  names: ['web.example.org'],
  issuer: 'CA',
  notBefore: 0,
  notAfter: 90 * DAY_MS,
}
const ORDER: CertificateOrder = {
  ...{ url: 'https://ca/1', finalizeUrl: 'https://ca/1/f', begunAt: 0, challenges: [], told: false, lookAt: 0 },
}
const FAILING = { since: 0, attempts: 1, nextAt: 10, message: 'no' }

const fraction = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
const fingerprint = fc
  .array(fc.constantFrom(...'0123456789abcdef'), { minLength: 64, maxLength: 64 })
  .map((digits) => digits.join(''))
const life = fc.integer({ min: HOUR_MS, max: 400 * DAY_MS })

test('it is renewed after two thirds of its life, with most of the rest to spare, whatever the chance', () => {
  fc.assert(
    fc.property(life, fingerprint, (lifeMs, chance) => {
      const at = renewalTime({ fingerprint: chance, notBefore: 0, notAfter: lifeMs })
      assert.ok(at >= (lifeMs * 2) / 3 - 1 && at <= lifeMs * 0.701)
    }),
  )
})

test("the authority's own wish is followed, but never until it is too late", () => {
  fc.assert(
    fc.property(life, fingerprint, fc.integer(), fc.nat(), (lifeMs, chance, startMs, lengthMs) => {
      const window = { startMs, endMs: startMs + lengthMs }
      const at = renewalTime({ fingerprint: chance, notBefore: 0, notAfter: lifeMs }, window)
      assert.ok(at <= lifeMs * 0.95 + 1)
      assert.ok(at <= startMs + lengthMs + 1)
    }),
  )
  const past = { startMs: -10, endMs: -1 }
  assert.ok(renewalTime(GIVEN, past) < 0, 'one that lies in the past is due now')
})

test('pauses grow, have an end, and are never shorter than what the authority wants', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 500 }),
      fc.boolean(),
      fc.nat(),
      fraction,
      (attempts, isRefusal, wish, chance) => {
        const pause = pauseAfterFailure({ attempts, isRefusal, retryAfterMs: wish }, chance)
        assert.ok(pause >= wish)
        assert.ok(pause >= pauseAfterFailure({ attempts: Math.max(1, attempts - 1), isRefusal }, 0))
        assert.ok(pause <= Math.max(wish, DAY_MS) * 1.1)
      },
    ),
  )
})

test('in no hour are more than four proofs refused, of the five that authorities take', () => {
  let [atMs, refused] = [0, 0]
  for (let attempts = 1; atMs < HOUR_MS; attempts++) {
    refused += 1
    atMs += pauseAfterFailure({ attempts, isRefusal: true }, 0)
  }
  assert.ok(refused <= 4, `${refused}`)
})

for (const [what, progress, nowMs, step] of [
  ['what was never asked for is ordered', { renewAt: 0 }, 1, 'order'],
  ['an order goes on', { renewAt: 0, order: ORDER }, 1, 'go-on'],
  ['not before the authority wants to hear of it', { renewAt: 0, order: { ...ORDER, lookAt: 5 } }, 4, 'rest'],
  ['an order that has no end is given up', { renewAt: 0, order: ORDER }, 31 * 60_000, 'give-up'],
  ['after a failure there is a pause', { renewAt: 0, failing: FAILING }, 9, 'rest'],
  ['and then another attempt', { renewAt: 0, failing: FAILING }, 10, 'order'],
  ['with a certificate there is nothing to do', { renewAt: 100, given: GIVEN }, 50, 'rest'],
  ['but to ask for a hint now and then', { renewAt: 100, given: GIVEN, hintAt: 50 }, 50, 'ask-for-hint'],
  ['until it is due', { renewAt: 100, given: GIVEN, hintAt: 50 }, 100, 'order'],
] as const satisfies readonly (readonly [string, CertificateProgress, number, string])[]) {
  test(what, () => assert.equal(certificateStep(progress, nowMs), step))
}

const WANTED: WantedCertificate = {
  ...{ names: ['web.example.org'], directoryUrl: 'https://ca/dir', proof: { kind: 'http', port: 80 }, agreedAt: 0 },
}
const stateOf = (progress?: CertificateProgress) => ({
  wantedCertificate: { value: WANTED, revision: 1n },
  ...(progress ? { certificateProgress: { value: progress, revision: 2n } } : {}),
})

test('how it stands is told in a word', () => {
  assert.equal(certificateStanding({}, 0), 'none')
  assert.equal(certificateStanding(stateOf(), 0), 'ordering')
  assert.equal(certificateStanding(stateOf({ renewAt: 9, given: GIVEN }), 0), 'valid')
  assert.equal(certificateStanding(stateOf({ renewAt: 0, given: GIVEN, order: ORDER }), 0), 'ordering')
  assert.equal(certificateStanding(stateOf({ renewAt: 0, given: GIVEN, failing: FAILING }), 0), 'failing')
  assert.equal(certificateStanding(stateOf({ renewAt: 0, given: GIVEN, failing: FAILING }), 91 * DAY_MS), 'expired')
})

test('somebody is warned when a renewal fails, with the days that are left, and nobody while all is well', () => {
  const at = (progress: CertificateProgress | undefined, day: number) =>
    certificateWarning(stateOf(progress), day * DAY_MS)
  assert.equal(certificateWarning({}, 0), undefined)
  assert.equal(at(undefined, 0), undefined)
  assert.equal(at({ renewAt: 1, given: GIVEN }, 61), undefined)
  assert.match(at({ renewAt: 1, given: GIVEN, failing: FAILING }, 61) ?? '', /is not renewed, 29 days are left: no$/)
  assert.match(at({ renewAt: 0, failing: FAILING }, 0) ?? '', /There is no certificate for web\.example\.org yet: no$/)
  assert.match(at({ renewAt: 1, given: GIVEN }, 80) ?? '', /ends in 10 days$/)
  assert.match(at({ renewAt: 1, given: GIVEN }, 90) ?? '', /has expired$/)
  assert.equal(daysLeft(GIVEN, 100 * DAY_MS), 0)
})
