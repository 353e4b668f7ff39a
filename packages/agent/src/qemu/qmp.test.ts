import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { QmpClient } from './qmp.ts'

interface Request {
  readonly id: number
  readonly execute?: string
  readonly 'exec-oob'?: string
  readonly arguments?: unknown
}

describe('QmpClient', () => {
  let folder: string
  let server: Server
  let peer: Socket | undefined
  let requests: Request[]
  /** What the monitor answers; undefined: nothing. */
  let answer: (request: Request) => object | undefined
  const path = () => join(folder, 'qmp.sock')

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'stead-qmp-'))
    requests = []
    answer = () => ({ return: {} })
    server = createServer((socket) => {
      peer = socket
      socket.write('{"QMP": {"version": {}, "capabilities": ["oob"]}}\r\n')
      socket.on('data', (chunk) => {
        for (const line of chunk
          .toString()
          .split('\n')
          .filter((text) => text.trim() !== '')) {
          const request = JSON.parse(line) as Request
          requests.push(request)
          const reply = answer(request)
          if (reply) socket.write(`${JSON.stringify({ ...reply, id: request.id })}\r\n`)
        }
      })
    })
    await new Promise<void>((resolve) => server.listen(path(), resolve))
  })
  afterEach(async () => {
    peer?.destroy()
    await new Promise((resolve) => server.close(resolve))
    rmSync(folder, { recursive: true, force: true })
  })

  async function connected(): Promise<QmpClient> {
    const result = await QmpClient.connect(path())
    assert.ok(result.ok)
    return result.value
  }

  it('takes a reply that comes in many pieces, and two that come in one', async () => {
    const client = await connected()
    const long = Array.from({ length: 20_000 }, (_, at) => `node ${at} ü`)
    answer = ({ execute }) => ({ return: execute === 'long' ? long : execute })
    const replies = await Promise.all(['long', 'short', 'last'].map((command) => client.execute(command)))
    assert.deepEqual(
      replies.map((reply) => reply.ok && reply.value),
      [long, 'short', 'last'],
    )
    client.close()
  })

  it('negotiates out-of-band commands and matches replies by id, not by order', async () => {
    const client = await connected()
    assert.deepEqual(requests[0]?.arguments, { enable: ['oob'] })
    const held: Request[] = []
    answer = (request) => {
      if (request.execute === 'slow') return void held.push(request)
      return { return: 'quick' }
    }
    const slow = client.execute('slow')
    assert.deepEqual(await client.executeOutOfBand('yank'), { ok: true, value: 'quick' })
    assert.equal(requests.at(-1)?.['exec-oob'], 'yank')
    peer?.write(`{"return": "late", "id": ${held[0]?.id}}\r\n`)
    assert.deepEqual(await slow, { ok: true, value: 'late' })
    client.close()
  })

  it("gives QEMU's own error text, with its cause", async () => {
    const client = await connected()
    answer = () => ({ error: { class: 'GenericError', desc: 'Node not found' } })
    const result = await client.execute('blockdev-del')
    assert.ok(!result.ok)
    assert.equal(result.error.message, 'blockdev-del: Node not found')
    assert.ok(result.error.cause)
    client.close()
  })

  it('delivers events that arrive in pieces', async () => {
    const client = await connected()
    const seen = client.waitFor((event) => event.event === 'STOP', 5_000)
    peer?.write('{"timestamp": {"seconds": 2, "microseconds": 500000}, "ev')
    await new Promise((resolve) => setImmediate(resolve))
    peer?.write('ent": "STOP"}\r\n')
    assert.deepEqual(await seen, { event: 'STOP', data: {}, timestampMs: 2500 })
    client.close()
  })

  it('fails what is pending when the process ends, and everything after', async () => {
    const client = await connected()
    answer = () => undefined
    const pending = client.execute('quit')
    const closed = new Promise<void>((resolve) => client.onClose(resolve))
    peer?.destroy()
    assert.equal((await pending).ok, false)
    await closed
    assert.equal((await client.execute('stop')).ok, false)
  })

  it('gives up on a command without an answer', async () => {
    const client = await connected()
    answer = () => undefined
    const result = await client.execute('stop', undefined, 20)
    assert.ok(!result.ok)
    assert.match(result.error.message, /no answer within 20 ms/)
    client.close()
  })

  it('waits for a socket that is not there yet, but not for a process that is gone', async () => {
    const absent = await QmpClient.connect(join(folder, 'none.sock'), 10_000, () => false)
    assert.ok(!absent.ok)
    assert.equal(absent.error.code, 'hypervisor')
  })
})
