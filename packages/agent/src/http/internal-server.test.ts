import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { Readable } from 'node:stream'
import { test, type TestContext } from 'node:test'
import { failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { CopyRequest, VolumeHost } from '@stead/core/ports/volume-host.ts'
import { fail, ok } from '@stead/core/result.ts'
import { BLOCK_BYTES, MemoryVolumeHost, type CopyTarget } from '@stead/sim/memory-volume-host.ts'
import { readCertificate } from '../trust/certificate-reading.ts'
import { HostCredentials } from '../trust/host-credentials.ts'
import { credentialsOf } from '../trust/credentials-fixture.ts'
import { HostClient } from './host-client.ts'
import { startInternalServer } from './internal-server.ts'
import { RemoteVolumeHost } from './remote-volume-host.ts'

const trust = await credentialsOf('h1', 'h2', 'h9')
const volume = 'v1' as VolumeId
const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silentLog }

async function start(
  context: TestContext,
  change: (volumes: MemoryVolumeHost) => VolumeHost = (volumes) => volumes,
  credentials = trust.h1,
) {
  const peers = new Map<string, CopyTarget>()
  // A copy needs a current source, and a resync's target is not current: each host has its own word.
  const world = { epoch: 1 }
  const host = (name: string) =>
    new MemoryVolumeHost({
      host: name,
      pools: ['p'],
      capacityBytes: 2 ** 30,
      readEpoch: async () => ok({ epoch: world.epoch, inSync: name === 'h1' }),
      copyTarget: (target) => peers.get(target),
      digest: async (bytes) => createHash('sha256').update(bytes).digest('base64'),
    })
  const [local, peer] = [host('h1'), host('h2')]
  peers.set('h2', {
    instanceOf: (...request) => peer.instanceOf(...request),
    write: async (...request) => peer.writeBlockThrough(...request),
    flush: async (...request) => peer.flushThrough(...request),
    read: async () => fail(failure('storage', 'not used here')),
  })
  const server = await startInternalServer({
    hosts: ['127.0.0.1'],
    port: 0,
    credentials,
    volumesFor: () => change(local),
    blobs: { open: async (digest) => (digest === 'sha256:aa' ? Readable.from([Buffer.from('content')]) : undefined) },
    guestCalls: {
      echo: async (input) => ok(input),
      caller: async (_input, caller) => ok(caller),
      refuse: async () => fail(failure('conflict', 'No', { cause: new Error('because') })),
      crash: async () => {
        throw new Error('a bug')
      },
      hang: () => new Promise(() => undefined),
    },
    streams: { count: async () => ok(Readable.from([Buffer.from('1'), Buffer.from('2')])) },
    log: silentLog,
  })
  const client = new HostClient({ host: 'h1', addresses: ['127.0.0.1'], port: server.port, credentials: trust.h2 })
  context.after(async () => {
    client.close()
    await server.close()
  })
  return { server, client, local, peer, world, remote: new RemoteVolumeHost(client) }
}

const copyRequest = (select: CopyRequest['select'] = 'all'): CopyRequest => ({
  volume,
  pool: 'p',
  epoch: 1,
  select,
  compare: false,
  target: { host: 'h2', pool: 'p', address: '127.0.0.1', port: 1, exportName: 'vol-v1-e1-sync' },
})

test('a remote host does what a local one does, refusals included', async (context) => {
  const { remote, world } = await start(context)
  assert.ok((await remote.createReplica({ volume, pool: 'p', sizeBytes: 3 * BLOCK_BYTES })).ok)
  const request = { volume, pool: 'p', epoch: 1, syncPoint: 's1', rejoining: false }
  const opened = await remote.exportToGuest(request)
  assert.ok(opened.ok)
  assert.deepEqual([opened.value.exportName, opened.value.bitmapIsNew], ['vol-v1-e1', true])
  world.epoch = 2
  const refused = await remote.exportToGuest(request)
  assert.equal(!refused.ok && refused.error.code, 'stale_epoch')
  const renewed = await remote.exportToGuest({ ...request, epoch: 2 })
  assert.deepEqual(renewed.ok && renewed.value.revoked, ['vol-v1-e1'])
  const inspected = await remote.inspect(volume, 'p')
  assert.deepEqual(inspected.ok && inspected.value.exports, ['vol-v1-e2'])
  const absent = await remote.inspect('v9' as VolumeId, 'p')
  assert.equal(!absent.ok && absent.error.code, 'not_found')
  // An argument left out at the end stays left out.
  assert.ok((await remote.addBitmap(volume, 'p', 's2')).ok)
  assert.ok((await remote.addBitmap(volume, 'p', 's3', 's2')).ok)
})

test('a copy moves the changed blocks and tells its progress', async (context) => {
  const { remote, local, peer } = await start(context)
  for (const host of [local, peer]) await host.createReplica({ volume, pool: 'p', sizeBytes: 4 * BLOCK_BYTES })
  await remote.exportToGuest({ volume, pool: 'p', epoch: 1, syncPoint: 's1', rejoining: false })
  for (const block of [0, 1, 3])
    local.writeThrough(volume, 'p', 'vol-v1-e1', block * BLOCK_BYTES, Uint8Array.of(block + 1))
  await peer.exportAsTarget({ volume, pool: 'p', epoch: 1 })
  await remote.addBitmap(volume, 'p', 's2', 's1')
  const progress: number[] = []
  const select = { bitmap: 's1', extra: [] }
  const copied = await remote.copy(
    copyRequest(select),
    ({ copiedBytes }) => progress.push(copiedBytes),
    new AbortController().signal,
  )
  assert.deepEqual(copied, ok({ copiedBytes: 3 * BLOCK_BYTES, totalBytes: 3 * BLOCK_BYTES }))
  assert.deepEqual(progress, [BLOCK_BYTES, 2 * BLOCK_BYTES, 3 * BLOCK_BYTES])
  assert.ok(peer.contentOf(volume, 'p')!.equals(local.contentOf(volume, 'p')!))
})

test('aborting a copy reaches the host that copies', { timeout: 20_000 }, async (context) => {
  const reached = Promise.withResolvers<void>()
  const { remote } = await start(context, (volumes) => {
    const copy: VolumeHost['copy'] = (_request, onProgress, signal) => {
      onProgress({ copiedBytes: 1, totalBytes: 2 })
      return new Promise((resolve) =>
        signal.addEventListener('abort', () => {
          reached.resolve()
          resolve(fail(failure('conflict', 'stopped')))
        }),
      )
    }
    return Object.assign(volumes, { copy })
  })
  const stop = new AbortController()
  const result = await remote.copy(copyRequest(), () => stop.abort(new Error('enough')), stop.signal)
  assert.equal(!result.ok && result.error.code, 'conflict')
  await reached.promise
})

test('guest calls carry values, refusals with their causes, and crashes', async (context) => {
  const { client } = await start(context)
  assert.deepEqual(await client.callGuest('echo', { a: [1, null] }), ok({ a: [1, null] }))
  const refused = await client.callGuest('refuse', {})
  assert.deepEqual(refused, fail({ code: 'conflict', message: 'No', cause: ['because'] }))
  const crashed = await client.callGuest('crash', {})
  assert.equal(!crashed.ok && crashed.error.code, 'internal')
  const unknown = await client.callGuest('toString', {})
  assert.equal(!unknown.ok && unknown.error.code, 'not_found')
})

test('blobs and named streams arrive whole; an absent blob is `not_found`', async (context) => {
  const { client } = await start(context)
  const signal = new AbortController().signal
  const blob = await client.blob('sha256:aa', signal)
  assert.ok(blob.ok)
  assert.equal(Buffer.concat(await blob.value.toArray()).toString(), 'content')
  const absent = await client.blob('sha256:bb', signal)
  assert.equal(!absent.ok && absent.error.code, 'not_found')
  const stream = await client.stream('count', {}, signal)
  assert.ok(stream.ok)
  assert.equal(Buffer.concat(await stream.value.toArray()).toString(), '12')
})

const addresses = ['127.0.0.1']

test('a host of another cluster gets nothing, though it is called the same', async (context) => {
  const { server } = await start(context)
  const { h2 } = await credentialsOf('h2')
  // It would believe anybody: what is tried is whether it is believed.
  const { cert, key } = h2.material
  const credentials = new HostCredentials({ cert, key, ca: trust.h2.material.ca })
  const stranger = new HostClient({ host: 'h1', addresses, port: server.port, credentials })
  context.after(() => stranger.close())
  const answer = await stranger.callGuest('echo', 1)
  assert.equal(!answer.ok && answer.error.code, 'host_unreachable')
})

test('calls in a row go over one connection', async (context) => {
  const { client } = await start(context)
  let connections = 0
  const count = () => (connections += 1)
  subscribe('net.client.socket', count)
  context.after(() => unsubscribe('net.client.socket', count))
  for (const number of [1, 2, 3]) assert.deepEqual(await client.callGuest('echo', number), ok(number))
  assert.equal(connections, 1)
})

test('a call knows which host it comes from, whatever the host says', async (context) => {
  const { client } = await start(context)
  assert.deepEqual(await client.callGuest('caller', 'h9'), ok('h2'))
})

test('who shows no certificate gets nothing', async (context) => {
  const { server } = await start(context)
  const socket = connectTls({ host: '127.0.0.1', port: server.port, rejectUnauthorized: false })
  context.after(() => socket.destroy())
  let heard = ''
  socket.on('data', (data) => (heard += data.toString()))
  socket.write('POST /internal/call/echo HTTP/1.1\r\nhost: h1\r\ncontent-length: 1\r\n\r\n1')
  const [error] = (await once(socket, 'error')) as [Error]
  assert.match(error.message, /certificate required/)
  assert.equal(heard, '')
})

test('a host is not taken for another one', async (context) => {
  const { server } = await start(context)
  const client = new HostClient({ host: 'h9', addresses, port: server.port, credentials: trust.h2 })
  context.after(() => client.close())
  const answer = await client.callGuest('echo', 1)
  assert.match(!answer.ok ? answer.error.message : '', /h9.*not in the cert/)
})

test('a revoked host is refused at once, on the connections that it has too', async (context) => {
  const hosts = await credentialsOf('h1', 'h2')
  const { server } = await start(context, undefined, hosts.h1)
  const client = new HostClient({ host: 'h1', addresses, port: server.port, credentials: hosts.h2 })
  context.after(() => client.close())
  assert.deepEqual(await client.callGuest('echo', 1), ok(1))
  const hanging = client.callGuest('hang', {})
  await client.callGuest('echo', 2)
  hosts.h1.revoke([readCertificate(hosts.h2.material.cert).serial])
  const ended = await hanging
  assert.equal(!ended.ok && ended.error.code, 'host_unreachable')
  const refused = await client.callGuest('echo', 3)
  assert.equal(!refused.ok && refused.error.code, 'host_unreachable')
})

test('a client speaks to no host that it knows to be revoked', async (context) => {
  const hosts = await credentialsOf('h1', 'h2')
  const { server } = await start(context, undefined, hosts.h1)
  const client = new HostClient({ host: 'h1', addresses, port: server.port, credentials: hosts.h2 })
  context.after(() => client.close())
  assert.deepEqual(await client.callGuest('echo', 1), ok(1))
  hosts.h2.revoke([readCertificate(hosts.h1.material.cert).serial])
  for (const connection of ['the one that was open', 'another one']) {
    const refused = await client.callGuest('echo', 2)
    assert.match(!refused.ok ? refused.error.message : '', /is revoked/, connection)
  }
})

test('a renewed certificate is shown from the next connection on, without a new start', async (context) => {
  const [before, now] = [await credentialsOf('h1', 'h2'), await credentialsOf('h1', 'h2')]
  const { server } = await start(context, undefined, before.h1)
  const client = () => {
    const made = new HostClient({ host: 'h1', addresses, port: server.port, credentials: now.h2 })
    context.after(() => made.close())
    return made
  }
  const refused = await client().callGuest('echo', 1)
  assert.equal(refused.ok, false)
  before.h1.renew(now.h1.material)
  assert.deepEqual(await client().callGuest('echo', 1), ok(1))
})

test('a dead network is passed over for the next address', async (context) => {
  const { server } = await start(context)
  // 127.0.0.2 is this machine too, but nobody listens there.
  const addresses = ['127.0.0.2', '127.0.0.1']
  const client = new HostClient({ host: 'h1', addresses, port: server.port, credentials: trust.h2 })
  context.after(() => client.close())
  assert.deepEqual(await client.callGuest('echo', 1), ok(1))
})

test('a host that takes the call and does not answer is given up in time', async (context) => {
  const { client } = await start(context)
  const answer = await client.callGuest('hang', {}, 100)
  assert.equal(!answer.ok && answer.error.code, 'host_unreachable')
  // The next call is not held up by the lost one.
  assert.deepEqual(await client.callGuest('echo', 1), ok(1))
})

test('a host that breaks the connection in the middle is unreachable', async (context) => {
  const server = createServer((socket) => socket.once('data', () => socket.destroy()))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => server.close())
  const { port } = server.address() as { port: number }
  const client = new HostClient({ host: 'h9', addresses: ['127.0.0.1'], port, credentials: trust.h2 })
  context.after(() => client.close())
  const answer = await client.callGuest('echo', 1)
  assert.equal(!answer.ok && answer.error.code, 'host_unreachable')
  assert.match(!answer.ok ? answer.error.message : '', /h9/)
})
