/** The client against a server that misbehaves; against real ones it is tested with the storage daemon. */
import assert from 'node:assert/strict'
import { createServer, type Server, type Socket } from 'node:net'
import { test } from 'node:test'
import { NbdClient } from './nbd-client.ts'
import {
  FLAG_FIXED_NEWSTYLE,
  NBD_MAGIC,
  OPTION_GO,
  OPTION_MAGIC,
  OPTION_REPLY_MAGIC,
  REPLY_ACK,
  REPLY_INFO,
  SIMPLE_REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
} from './nbd-protocol.ts'

const SIZE = 1 << 20

/** Serves one connection after another with `script`; everything is gone at the end. */
async function withServer(script: (socket: Socket) => void, body: (port: number) => Promise<void>): Promise<void> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    // The client ends connections abruptly; that is what is tested.
    socket.on('error', () => undefined)
    script(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    const address = server.address()
    assert.ok(address && typeof address === 'object')
    await body(address.port)
  } finally {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
}

/** A correct handshake; then each request's header goes to `onRequest`. */
function handshake(onRequest: (socket: Socket, cookie: bigint, header: Buffer) => void) {
  return (socket: Socket) => {
    const greeting = Buffer.alloc(18)
    greeting.writeBigUInt64BE(NBD_MAGIC, 0)
    greeting.writeBigUInt64BE(OPTION_MAGIC, 8)
    greeting.writeUInt16BE(FLAG_FIXED_NEWSTYLE | 2, 16)
    socket.write(greeting)
    let bytes = Buffer.alloc(0)
    let phase: 'flags' | 'options' | 'requests' = 'flags'
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      for (;;) {
        if (phase === 'flags') {
          if (bytes.length < 4) return
          bytes = bytes.subarray(4)
          phase = 'options'
        } else if (phase === 'options') {
          if (bytes.length < 16 || bytes.length < 16 + bytes.readUInt32BE(12)) return
          const option = bytes.readUInt32BE(8)
          bytes = bytes.subarray(16 + bytes.readUInt32BE(12))
          if (option === OPTION_GO) {
            const info = Buffer.alloc(12)
            info.writeBigUInt64BE(BigInt(SIZE), 2)
            socket.write(optionReply(option, REPLY_INFO, info))
            phase = 'requests'
          }
          socket.write(optionReply(option, REPLY_ACK, Buffer.alloc(0)))
        } else {
          if (bytes.length < 28) return
          const header = bytes.subarray(0, 28)
          bytes = bytes.subarray(28)
          onRequest(socket, header.readBigUInt64BE(8), header)
        }
      }
    })
  }
}

function optionReply(option: number, type: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(20)
  header.writeBigUInt64BE(OPTION_REPLY_MAGIC, 0)
  header.writeUInt32BE(option, 8)
  header.writeUInt32BE(type, 12)
  header.writeUInt32BE(payload.length, 16)
  return Buffer.concat([header, payload])
}

function chunk(cookie: bigint, flags: number, type: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(20)
  header.writeUInt32BE(STRUCTURED_REPLY_MAGIC, 0)
  header.writeUInt16BE(flags, 4)
  header.writeUInt16BE(type, 6)
  header.writeBigUInt64BE(cookie, 8)
  header.writeUInt32BE(payload.length, 16)
  return Buffer.concat([header, payload])
}

function dataChunk(cookie: bigint, flags: number, offset: number, data: Buffer): Buffer {
  const at = Buffer.alloc(8)
  at.writeBigUInt64BE(BigInt(offset))
  return chunk(cookie, flags, 1, Buffer.concat([at, data]))
}

async function open(port: number, timeoutMs = 2_000): Promise<NbdClient> {
  const client = await NbdClient.connect({
    endpoint: { kind: 'tcp', address: '127.0.0.1', port },
    exportName: 'x',
    timeoutMs,
    // Under load the greeting may take longer than the answer that a test waits for in vain.
    connectTimeoutMs: 2_000,
  })
  assert.ok(client.ok, JSON.stringify(client))
  return client.value
}

function codeOf(result: { ok: boolean; error?: { cause?: unknown } }): string | undefined {
  assert.ok(!result.ok)
  return (result.error?.cause as NodeJS.ErrnoException | undefined)?.code
}

test('a server that never greets is a failure in time', async () => {
  await withServer(
    () => undefined,
    async (port) => {
      const result = await NbdClient.connect({
        endpoint: { kind: 'tcp', address: '127.0.0.1', port },
        exportName: 'x',
        timeoutMs: 100,
      })
      assert.equal(codeOf(result), 'ETIMEDOUT')
    },
  )
})

test('a server of another protocol is told apart', async () => {
  await withServer(
    (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'),
    async (port) => {
      const result = await NbdClient.connect({
        endpoint: { kind: 'tcp', address: '127.0.0.1', port },
        exportName: 'x',
        timeoutMs: 1_000,
      })
      assert.equal(codeOf(result), 'EPROTO')
    },
  )
})

test('nobody listening is ECONNREFUSED', async () => {
  let port = 0
  await withServer(
    () => undefined,
    async (used) => void (port = used),
  )
  const result = await NbdClient.connect({
    endpoint: { kind: 'tcp', address: '127.0.0.1', port },
    exportName: 'x',
    timeoutMs: 1_000,
  })
  assert.equal(codeOf(result), 'ECONNREFUSED')
})

test('a request that is not answered fails in time, with all others in flight', async () => {
  await withServer(
    handshake(() => undefined),
    async (port) => {
      const client = await open(port, 100)
      const [read, flush] = await Promise.all([client.read(0, 512), client.flush()])
      assert.equal(codeOf(read), 'ETIMEDOUT')
      assert.equal(codeOf(flush), 'ETIMEDOUT')
      assert.ok(client.closed)
      assert.equal(codeOf(await client.read(0, 512)), 'ETIMEDOUT')
    },
  )
})

test('read data may come in pieces, out of order, with holes, cut anywhere', async () => {
  await withServer(
    handshake((socket, cookie) => {
      const hole = Buffer.alloc(12)
      hole.writeBigUInt64BE(4096n)
      hole.writeUInt32BE(512, 8)
      const bytes = Buffer.concat([
        dataChunk(cookie, 0, 4096 + 1024, Buffer.alloc(512, 3)),
        chunk(cookie, 0, 2, hole),
        dataChunk(cookie, 1, 4096 + 512, Buffer.alloc(512, 2)),
      ])
      for (const byte of bytes.subarray(0, 40)) socket.write(Buffer.from([byte]))
      socket.write(bytes.subarray(40))
    }),
    async (port) => {
      const client = await open(port)
      const data = await client.read(4096, 1536)
      assert.ok(data.ok)
      assert.ok(data.value.equals(Buffer.concat([Buffer.alloc(512), Buffer.alloc(512, 2), Buffer.alloc(512, 3)])))
      client.destroy()
    },
  )
})

test('errors of the server keep their names, and the connection', async () => {
  await withServer(
    handshake((socket, cookie, header) => {
      const isRead = header.readUInt16BE(6) === 0
      if (isRead) {
        const payload = Buffer.concat([Buffer.from([0, 0, 0, 5, 0, 4]), Buffer.from('dead')])
        socket.write(chunk(cookie, 1, 0x8001, payload))
      } else {
        const reply = Buffer.alloc(16)
        reply.writeUInt32BE(SIMPLE_REPLY_MAGIC, 0)
        reply.writeUInt32BE(28, 4)
        reply.writeBigUInt64BE(cookie, 8)
        socket.write(reply)
      }
    }),
    async (port) => {
      const client = await open(port)
      const read = await client.read(0, 512)
      assert.equal(codeOf(read), 'EIO')
      assert.equal(codeOf(await client.flush()), 'ENOSPC')
      assert.ok(!client.closed)
      assert.equal(codeOf(await client.read(SIZE, 1)), 'EINVAL')
      client.destroy()
    },
  )
})

test('data outside of the request ends the connection', async () => {
  await withServer(
    handshake((socket, cookie) => socket.write(dataChunk(cookie, 1, 512, Buffer.alloc(512)))),
    async (port) => {
      const client = await open(port)
      assert.equal(codeOf(await client.read(0, 512)), 'EPROTO')
      assert.ok(client.closed)
    },
  )
})

test('a connection that breaks fails what is in flight and tells its listeners once', async () => {
  await withServer(
    handshake((socket) => socket.destroy()),
    async (port) => {
      const client = await open(port)
      let told = 0
      client.onClose(() => (told += 1))
      assert.equal((await client.read(0, 512)).ok, false)
      await client.disconnect()
      assert.equal(told, 1)
    },
  )
})
