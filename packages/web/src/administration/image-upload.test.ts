import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createClient } from '@stead/api/client.ts'
import type { TransportRequest } from '@stead/api/transport.ts'
import { digestOf, uploadFile, type UploadProgress } from './image-upload.ts'

const CONTENT = randomBytes(9 * 2 ** 20 + 7)
const DIGEST = `sha256:${createHash('sha256').update(CONTENT).digest('hex')}`
const NEVER = new AbortController().signal

/** A host that has the file or not, and keeps what it is sent. */
function hostWith({ hasFile }: { hasFile: boolean }) {
  const asked: TransportRequest[] = []
  const client = createClient({
    targets: [{ url: 'http://h1' }],
    transport: {
      async send(_target, request) {
        asked.push(request)
        const status = request.method === 'HEAD' ? (hasFile ? 204 : 404) : request.method === 'PUT' ? 204 : 200
        return { status, headers: {}, body: bodyOf(request.method === 'GET' ? '{"receivedBytes":7}' : '') }
      },
    },
  })
  return { asked, client }
}

async function* bodyOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}

const upload = (
  client: ReturnType<typeof createClient>,
  expected = '',
  tell: (at: UploadProgress) => void = () => {},
) => uploadFile({ client, file: new Blob([CONTENT]), expected, signal: NEVER, tell })

test('the digest of a file is that of all its parts in order', async () => {
  const shares: number[] = []
  assert.equal(await digestOf(new Blob([CONTENT]), NEVER, (share) => shares.push(Math.round(share * 100))), DIGEST)
  assert.deepEqual(shares, [44, 89, 100])
})

test('a file that the cluster lacks is sent whole, under its digest', async () => {
  const { asked, client } = hostWith({ hasFile: false })
  const steps = new Set<string>()
  const sent = await upload(client, '', ({ step }) => steps.add(step))
  assert.deepEqual(sent, { ok: true, value: DIGEST })
  const put = asked.find(({ method }) => method === 'PUT')
  assert.equal(put?.path, `/v1/blobs/${encodeURIComponent(DIGEST)}`)
  assert.equal(put?.headers['content-length'], String(CONTENT.length))
  assert.ok(put?.body instanceof Blob)
  assert.deepEqual(Buffer.from(await put.body.arrayBuffer()), CONTENT)
  assert.ok(steps.has('reading'))
})

test('a file that the cluster has is not sent again', async () => {
  const { asked, client } = hostWith({ hasFile: true })
  assert.equal((await upload(client, DIGEST)).ok, true)
  assert.deepEqual(
    asked.map(({ method }) => method),
    ['HEAD'],
  )
})

test('a file that is not what was announced is not even asked for', async () => {
  const { asked, client } = hostWith({ hasFile: false })
  const sent = await upload(client, 'f'.repeat(64))
  assert.equal(!sent.ok && sent.error.code, 'invalid_image')
  assert.deepEqual(asked, [])
})

test('what becomes an image of a project is sent for that project', async () => {
  const { asked, client } = hostWith({ hasFile: false })
  const file = new Blob([CONTENT])
  await uploadFile({ client, file, expected: '', project: 'shop', signal: NEVER, tell: () => {} })
  assert.ok(asked.length >= 2)
  for (const { path } of asked) assert.match(path, /\?project=shop$/)
})
