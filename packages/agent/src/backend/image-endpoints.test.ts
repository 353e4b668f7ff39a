import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { realClock } from '../real-clock.ts'
import { TestBackend } from './backend-fixture.ts'

const UPLOAD = `sha256:${'a'.repeat(64)}`

const backendFor = (context: TestContext) => TestBackend.start(context, new ClusterFixture(2, { witness: true }))
const body = (name: string) => ({ name, blob: UPLOAD, format: 'raw' })

test('an import is a record for the host that was asked, and an operation that tells how it goes', async (context) => {
  const backend = await backendFor(context)
  const { operation } = await backend.must('image.import', { body: body('debian') })
  assert.deepEqual([operation.kind, operation.subjectName, operation.state], ['image.import', 'debian', 'running'])
  assert.match(operation.message, /waiting for its turn \(h1\)/)
  const { host, source, target, begun } = backend.mirror.state.imports.get('debian')!.value
  assert.deepEqual([host, source, target, begun], ['h1', UPLOAD, { kind: 'disk', format: 'raw' }, 0])
})

test('a witness gives the work to a host that runs guests', async (context) => {
  const backend = await backendFor(context)
  const witness = await backend.onHost(context, 'witness')
  await witness.must('image.import', { body: body('debian') })
  assert.equal(witness.mirror.state.imports.get('debian')?.value.host, 'h1')
})

test('of two hosts that are asked for the same name at once, one begins and one refuses', async (context) => {
  const backend = await backendFor(context)
  const other = await backend.onHost(context, 'h2')
  const answers = await Promise.all([backend, other].map((each) => each.call('image.import', { body: body('debian') })))
  assert.deepEqual(answers.map((answer) => answer.ok || answer.error.code).toSorted(), ['name_taken', true])
  const refused = answers.find((answer) => !answer.ok)
  assert.match(refused && !refused.ok ? refused.error.message : '', /debian is being imported/)
})

test('a request that is repeated, to another host too, is the same import', async (context) => {
  const backend = await backendFor(context)
  const other = await backend.onHost(context, 'h2')
  const request = { idempotencyKey: 'one' }
  const first = await backend.call('image.import', { body: body('debian') }, request)
  const second = await other.call('image.import', { body: body('debian') }, request)
  assert.ok(first.ok && second.ok)
  assert.equal(first.value.operation.id, second.value.operation.id)
})

test('templates of one day that are imported at once have versions of their own', async (context) => {
  const backend = await backendFor(context)
  const other = await backend.onHost(context, 'h2')
  const request = { body: { name: 'tiny', blob: UPLOAD } }
  const made = await Promise.all([backend, other].map((each) => each.must('template.import', request)))
  const names = made.map(({ template }) => template).toSorted()
  assert.match(names[0]!, /^tiny@\d{4}-\d\d-\d\d$/)
  assert.equal(names[1], `${names[0]}.2`)
})

test('one that is called off has failed, whatever its host is doing, and its name is free again', async (context) => {
  const backend = await backendFor(context)
  const { operation } = await backend.must('image.import', { body: body('debian') })
  await backend.must('image.cancel-import', { params: { image: 'debian' } })
  await backend.mirror.until((state) => state.imports.size === 0, realClock.sleep(5_000))
  const seen = await backend.must('operation.show', { params: { operation: operation.id } })
  assert.deepEqual([seen.state, seen.message], ['failed', 'the import was called off'])
  assert.equal((await backend.refused('image.cancel-import', { params: { image: 'debian' } })).code, 'not_found')
  await backend.must('image.import', { body: body('debian') })
})

test('it is called off even while its host writes how far it has come', async (context) => {
  const backend = await backendFor(context)
  await backend.must('image.import', { body: body('debian') })
  const stop = new AbortController()
  const writing = (async () => {
    for (let doneBytes = 0; !stop.signal.aborted; doneBytes++) {
      const seen = backend.mirror.state.imports.get('debian')
      if (!seen) return
      const next = { ...seen.value, progress: { step: 'converting', doneBytes } }
      const key = KEYS.imageImport('debian')
      await backend.store.transact({
        compares: [{ key, modRevision: seen.revision }],
        writes: [{ kind: 'put', key, value: JSON.stringify(next) }],
      })
      await realClock.sleep(5)
    }
  })()
  await backend.must('image.cancel-import', { params: { image: 'debian' } })
  stop.abort()
  await writing
  await backend.mirror.until((state) => state.imports.size === 0, realClock.sleep(5_000))
  assert.equal(backend.mirror.state.imports.size, 0)
})

test('an image cannot be deleted before it is there; the hint says what can be done', async (context) => {
  const backend = await backendFor(context)
  await backend.must('image.import', { body: body('debian') })
  const refused = await backend.refused('image.delete', { params: { image: 'debian' } })
  assert.deepEqual([refused.code, /stead image cancel debian/.test(refused.hint ?? '')], ['not_found', true])
})
