import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { DEFAULT_POLICY } from '@stead/core/model/cluster-policy.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { guardedPost } from './guarded-post.ts'
import { permittedBy } from './outbound-guard.ts'

function stateWith(outboundAllow: readonly string[], address = '10.0.1.1'): ClusterState {
  const { state } = new ClusterFixture(1)
  const host = [...state.hosts.values()][0]!
  const addresses = { lan: address } as typeof host.value.addresses
  return {
    ...state,
    hosts: new Map([[host.value.id, { ...host, value: { ...host.value, addresses } }]]),
    clusterPolicy: { value: { ...DEFAULT_POLICY, outboundAllow }, revision: 1n },
  }
}

const { isPermitted } = permittedBy(stateWith([]))

for (const address of [
  ...['0.0.0.0', '10.1.2.3', '100.64.0.1', '127.0.0.1', '127.255.255.254', '169.254.169.254', '172.16.0.1'],
  ...['172.31.255.255', '192.168.1.1', '192.0.0.1', '198.18.0.1', '198.19.255.255', '224.0.0.1', '255.255.255.255'],
  ...['::', '::1', '::ffff:127.0.0.1', '::ffff:8.8.8.8', '::7f00:1', 'fe80::1', 'fc00::1', 'fd12:3456::1', 'ff02::1'],
  ...['64:ff9b::7f00:1', '2002:7f00:1::', '2001::1', '2001:db8::1'],
]) {
  test(`nobody is sent to ${address}`, () => assert.equal(isPermitted(address), false))
}

for (const address of ['8.8.8.8', '172.32.0.1', '192.169.0.1', '100.128.0.1', '2606:4700::1', '2a00::1']) {
  test(`${address} is an address of the Internet`, () => assert.equal(isPermitted(address), true))
}

test('what the policy lists is permitted, also within what is special; an address of a host is not, even a public one', () => {
  const listed = permittedBy(stateWith(['10.1.0.0/16', 'fd00::/8'], '8.8.8.8'))
  for (const address of ['10.1.2.3', 'fd00::1']) assert.ok(listed.isPermitted(address) && listed.isListed(address))
  for (const address of ['10.2.2.3', 'fc00::1', '8.8.8.8']) assert.equal(listed.isPermitted(address), false)
  assert.equal(listed.isListed('9.9.9.9'), false)
  assert.ok(permittedBy(stateWith(['8.8.8.0/24'], '8.8.8.8')).isPermitted('8.8.8.8'), 'unless it is listed')
})

async function listening(context: TestContext, status = 204, headers = {}) {
  const seen: { url: string; body: string }[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (part: Buffer) => (body += part.toString()))
    request.on('end', () => {
      seen.push({ url: request.url ?? '', body })
      response.writeHead(status, headers).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  context.after(() => new Promise((resolve) => server.close(resolve)))
  return { seen, port: (server.address() as AddressInfo).port }
}

for (const name of [
  '127.0.0.1',
  'localhost',
  '0x7f.1',
  '2130706433',
  '0177.0.0.1',
  '127.1',
  '[::ffff:127.0.0.1]',
  '[::1]',
]) {
  test(`however it is written, http://${name} reaches nothing of this host`, async (context) => {
    const { port, seen } = await listening(context)
    const posting = { url: `http://${name}:${port}/`, headers: {}, body: 'x' }
    const answer = await guardedPost(posting, permittedBy(stateWith([])))
    assert.equal(answer.ok ? 'sent' : answer.error.code, 'forbidden')
    assert.deepEqual(seen, [])
  })
}

test('a listed address is sent to, by the address that was looked at', async (context) => {
  const { port, seen } = await listening(context)
  const guard = permittedBy(stateWith(['127.0.0.0/8', '::1/128']))
  const answer = await guardedPost({ url: `http://localhost:${port}/hook?a=1`, headers: {}, body: '{"a":1}' }, guard)
  assert.deepEqual(answer, { ok: true, value: 204 })
  assert.deepEqual(seen, [{ url: '/hook?a=1', body: '{"a":1}' }])
})

test('where it is redirected to is not asked', async (context) => {
  const elsewhere = await listening(context)
  const { port } = await listening(context, 302, { location: `http://127.0.0.1:${elsewhere.port}/` })
  const guard = permittedBy(stateWith(['127.0.0.0/8']))
  const answer = await guardedPost({ url: `http://127.0.0.1:${port}/`, headers: {}, body: '' }, guard)
  assert.deepEqual(answer, { ok: true, value: 302 })
  assert.deepEqual(elsewhere.seen, [])
})

test('nothing goes unencrypted to where it was not permitted by the policy', async () => {
  const guard = { isPermitted: () => true, isListed: () => false }
  const answer = await guardedPost({ url: 'http://127.0.0.1:9/', headers: {}, body: '' }, guard)
  assert.equal(answer.ok ? 'sent' : answer.error.code, 'forbidden')
})
