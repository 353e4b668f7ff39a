import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OperationId } from '../model/ids.ts'
import type { Operation } from '../model/operation.ts'
import type { CertificateProgress, WantedCertificate } from '../model/web-certificate.ts'
import { certificateOutcome } from './certificate-outcome.ts'

const OPERATION: Operation = {
  ...{ id: 'o' as OperationId, kind: 'certificate.order', subject: 'cluster', state: 'running', progress: 0 },
  ...{ message: 'accepted', startedAt: 0 },
}
const WANTED: WantedCertificate = {
  ...{ names: ['a.example'], directoryUrl: 'https://ca', proof: { kind: 'http', port: 80 }, agreedAt: 0 },
}
const ORDER = { url: 'u', finalizeUrl: 'f', begunAt: 0, challenges: [], told: false, lookAt: 0 }
const GIVEN = { fingerprint: 'f', names: ['a.example'], issuer: 'CA', notBefore: 0, notAfter: 86_400_000 }

const outcomeOf = (progress: CertificateProgress) =>
  certificateOutcome(OPERATION, {
    wantedCertificate: { value: WANTED, revision: 1n },
    certificateProgress: { value: progress, revision: 1n },
  })

test('a request for a certificate goes on as far as the order has come, and ends with the certificate', () => {
  const steps: readonly CertificateProgress[] = [
    { renewAt: 0 },
    { renewAt: 0, order: ORDER },
    { renewAt: 0, order: { ...ORDER, told: true } },
    { renewAt: 9, given: GIVEN },
  ]
  const seen = steps.map(outcomeOf)
  assert.deepEqual(
    seen.map(({ state }) => state),
    ['running', 'running', 'running', 'succeeded'],
  )
  const progress = seen.map((one) => one.progress)
  assert.deepEqual(
    progress.toSorted((a, b) => a - b),
    progress,
  )
  assert.match(seen.at(-1)?.message ?? '', /1970-01-02/)
})

test('one that is renewed is done with the next one, not with the one that there is', () => {
  assert.equal(outcomeOf({ renewAt: 0, given: GIVEN }).state, 'running')
})

test('it fails with what the authority said, and with what to do', () => {
  const failing = { since: 0, attempts: 1, nextAt: 9, message: 'not ours', hint: 'open port 80' }
  const { state, failure } = outcomeOf({ renewAt: 0, failing })
  assert.deepEqual([state, failure], ['failed', { code: 'conflict', message: 'not ours', hint: 'open port 80' }])
  assert.equal(certificateOutcome(OPERATION, {}).state, 'failed')
})
