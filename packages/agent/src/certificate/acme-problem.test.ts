import assert from 'node:assert/strict'
import { test } from 'node:test'
import { acmeProblem, refusedProof, retryAfterMs } from './acme-problem.ts'

const URN = 'urn:ietf:params:acme:error:'
const answer = (status: number, body: unknown, headers = {}) => ({
  ...{ status, headers, body: typeof body === 'string' ? body : JSON.stringify(body) },
})

test('a refusal says what the authority said, and what to do', () => {
  const refused = acmeProblem(answer(403, { type: `${URN}caa`, detail: 'CAA forbids' }))
  assert.deepEqual([refused.code, refused.message], ['conflict', 'The authority refuses: CAA forbids (caa)'])
  assert.match(refused.hint ?? '', /CAA records/)
})

test('one that is busy has refused nothing, and its wish for a pause is kept', () => {
  const limited = acmeProblem(answer(429, { type: `${URN}rateLimited`, detail: 'too many' }, { 'retry-after': '3600' }))
  assert.deepEqual([limited.code, limited.retryAfterMs], ['host_unreachable', 3_600_000])
  assert.equal(acmeProblem(answer(503, '')).code, 'host_unreachable')
})

test('what is no problem document says nothing, and nothing of it reaches a terminal', () => {
  assert.equal(acmeProblem(answer(400, '<html>')).message, 'The authority refuses: HTTP status 400')
  assert.equal(acmeProblem(answer(400, 'null')).message, 'The authority refuses: HTTP status 400')
  const { message } = acmeProblem(answer(400, { detail: `\u001b[31m${'x'.repeat(5_000)}` }))
  assert.ok(!message.includes('\u001b') && message.length < 600)
})

test('a pause is given in seconds or as a date, and has an end', () => {
  const now = Date.parse('2026-11-23T00:00:00Z')
  const of = (text: string) => retryAfterMs({ headers: { 'retry-after': text } }, now)
  assert.deepEqual(
    ['5', 'Mon, 23 Nov 2026 00:01:00 GMT', 'Sun, 22 Nov 2026 00:00:00 GMT', 'soon', '99999999999'].map(of),
    [5_000, 60_000, 0, undefined, 7 * 86_400_000],
  )
  assert.equal(retryAfterMs({ headers: {} }), undefined)
})

test('of an order that came to nothing the name is told that was not believed', () => {
  const challenge = { type: 'http-01', url: 'https://ca/c', status: 'invalid', token: '' }
  const of = (value: string, error?: { type: string; detail: string }) => ({
    ...{ status: 'invalid', identifier: { type: 'dns', value }, wildcard: false },
    challenges: [{ ...challenge, ...(error ? { error } : {}) }],
  })
  const all = [of('a.example'), of('b.example', { type: `${URN}connection`, detail: 'Timeout' })]
  const refused = refusedProof(all, undefined)
  assert.match(refused.message, /believe that b\.example is ours: Timeout \(connection\)/)
  assert.match(refused.hint ?? '', /port 80/)
  assert.match(refusedProof([], { type: '', detail: 'no more today' }).message, /no certificate: no more today/)
})
