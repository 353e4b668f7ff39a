import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PRIVILEGES } from '@stead/core/access/privilege.ts'
import { failure, FAILURES } from '@stead/core/errors.ts'
import { z } from 'zod'
import { isRead, isRecorded, revisedObjectOf } from './endpoint.ts'
import { ALL_ENDPOINTS, ENDPOINTS } from './endpoints.ts'
import { causeChain, failureFromProblem, problemFromFailure } from './errors.ts'
import { problemSchema } from './problem-schema.ts'
import { describeIssues } from './issues.ts'
import { kernelFormat } from './kernel-format.ts'
import { openApiDocument } from './openapi.ts'
import { recordDecoder } from './records.ts'

test('every endpoint has its own id and route, a permission and a summary', () => {
  const routes = new Set<string>()
  for (const [id, endpoint] of Object.entries(ENDPOINTS)) {
    assert.equal(endpoint.id, id)
    assert.match(endpoint.summary, /^[A-Z].*[^.]$/, id)
    assert.ok(
      endpoint.permission === 'none'
        ? endpoint.on === 'self' || endpoint.on === 'views'
        : PRIVILEGES.includes(endpoint.permission),
      `${id} has the permission ${endpoint.permission}`,
    )
    routes.add(`${endpoint.method} ${endpoint.path}`)
  }
  assert.equal(routes.size, ALL_ENDPOINTS.length)
})

test('an endpoint about one object has the parameter that names it', () => {
  const parameterOf: Readonly<Record<string, string>> = {
    ...{ host: 'host', guest: 'guest', clone: 'guest', volume: 'volume', operation: 'operation', event: 'event' },
    ...{ project: 'project', 'moved-guest': 'guest' },
  }
  for (const { id, on, path } of ALL_ENDPOINTS) {
    const wanted = parameterOf[on]
    if (wanted) assert.ok(path.includes(`{${wanted}}`), id)
    // Whatever has a guest, a host or a volume in its path is about it.
    const named = /\{(guest|host|project|volume|operation|event)\}/.exec(path)?.[1]
    if (named) assert.equal(on === 'clone' || on === 'moved-guest' ? 'guest' : on, named, id)
  }
})

test("a path's parameters are those of the schema", () => {
  for (const endpoint of ALL_ENDPOINTS) {
    const named = [...endpoint.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1])
    assert.deepEqual(Object.keys(endpoint.params?.shape ?? {}), named, endpoint.id)
  }
})

test('the OpenAPI document holds every endpoint with its parameters, body and answer', () => {
  const document = openApiDocument() as {
    openapi: string
    paths: Record<string, Record<string, Record<string, unknown>>>
  }
  assert.equal(document.openapi, '3.1.0')
  for (const endpoint of ALL_ENDPOINTS) {
    const operation = document.paths[endpoint.path]?.[endpoint.method.toLowerCase()]
    assert.ok(operation, endpoint.id)
    assert.equal(operation['summary'], endpoint.summary)
    assert.equal(operation['x-stead-permission'], endpoint.permission)
    const names = (operation['parameters'] as { name: string }[]).map((parameter) => parameter.name)
    for (const name of Object.keys({ ...endpoint.params?.shape, ...endpoint.query?.shape }))
      assert.ok(names.includes(name), name)
    assert.equal('requestBody' in operation, endpoint.body !== undefined || endpoint.upload === true, endpoint.id)
    assert.ok(String(endpoint.status) in (operation['responses'] as object), endpoint.id)
  }
  assert.doesNotThrow(() => JSON.stringify(document))
})

test('whatever a change compares, its revision is shown: by the ETag of the object itself, or in the list of them', () => {
  const shows = (id: string) => {
    const endpoint = ALL_ENDPOINTS.find((one) => one.id === id)
    const { shape } = (endpoint?.response ?? z.object({})) as z.ZodObject
    const item = shape['items'] instanceof z.ZodArray ? (shape['items'].element as z.ZodObject).shape : shape
    return 'revision' in item
  }
  const compared = new Set(ALL_ENDPOINTS.filter((endpoint) => !isRead(endpoint)).map(revisedObjectOf))
  compared.delete(undefined)
  assert.ok(compared.size > 10)
  for (const object of compared) assert.ok(shows(`${object}.show`) || shows(`${object}.list`), object)
  for (const endpoint of ALL_ENDPOINTS) {
    const named = /\{(\w+)\}$/.exec(endpoint.path)?.[1]
    const isObject = isRead(endpoint) && named !== undefined && revisedObjectOf(endpoint) === named && !endpoint.streams
    if (isObject) assert.ok(shows(endpoint.id), `${endpoint.id} has no ETag`)
  }
})

test('a change of an object takes If-Match, and each that is recorded an Idempotency-Key, as the document says', () => {
  const { paths } = openApiDocument() as { paths: Record<string, Record<string, { parameters: { name: string }[] }>> }
  for (const endpoint of ALL_ENDPOINTS) {
    const names = paths[endpoint.path]?.[endpoint.method.toLowerCase()]?.parameters.map(({ name }) => name) ?? []
    const { id, method } = endpoint
    assert.equal(names.includes('Idempotency-Key'), isRecorded(endpoint), id)
    assert.equal(names.includes('If-Match'), !isRead(endpoint) && revisedObjectOf(endpoint) !== undefined, id)
    // Whoever adds an endpoint says which object's revision it is about: `revisionOf`, or `unrecorded`.
    const isOfObject = method === 'PUT' || method === 'PATCH' || (method === 'DELETE' && endpoint.params)
    if (isOfObject && isRecorded(endpoint)) assert.ok(revisedObjectOf(endpoint), `${id}: of which object?`)
  }
})

test('a body with an unknown field is refused, with its path and the field that was meant', () => {
  const schema = ENDPOINTS['guest.create'].body
  const checked = schema.safeParse({
    name: 'web1',
    memoryBytes: 128 * 1024 * 1024,
    disks: [{ sizeBytes: 1024 * 1024, replica: 2 }],
    boot: { kind: 'disk' },
  })
  assert.ok(!checked.success)
  const { message, hint } = describeIssues(checked.error.issues, schema)
  assert.equal(message, 'disks[0].replica: unknown field')
  assert.equal(hint, 'Did you mean `replicas`?')
})

test('a guest gets two replicas, one processor and a network card when nothing is said', () => {
  const body = ENDPOINTS['guest.create'].body.parse({
    name: 'web1',
    memoryBytes: 128 * 1024 * 1024,
    disks: [{ sizeBytes: 1024 * 1024 }],
    boot: { kind: 'kernel', kernel: `sha256:${'0'.repeat(64)}` },
  })
  assert.equal(body.disks[0]?.replicas, 2)
  assert.equal(body.cpus, 1)
  assert.equal(body.nic, true)
  assert.equal(body.boot.kind === 'kernel' && body.boot.append, '')
})

for (const name of ['', 'Web', '-a', 'a-', 'a.b', 'a'.repeat(64)]) {
  test(`\`${name}\` is no guest's name`, () => {
    const body = { name, memoryBytes: 2 ** 27, boot: { kind: 'disk' } }
    assert.ok(!ENDPOINTS['guest.create'].body.safeParse(body).success)
  })
}

for (const sizeBytes of [0, -1, 1000, 2 ** 20 + 1, 1.5, '1048576']) {
  test(`a disk of ${JSON.stringify(sizeBytes)} bytes is refused`, () => {
    const body = { name: 'a', memoryBytes: 2 ** 27, boot: { kind: 'disk' }, disks: [{ sizeBytes }] }
    assert.ok(!ENDPOINTS['guest.create'].body.safeParse(body).success)
  })
}

test('a query takes text for its booleans and numbers, and refuses other text', () => {
  const query = ENDPOINTS['guest.log'].query
  assert.deepEqual(query.parse({ follow: 'true', offset: '17' }), { follow: true, offset: 17 })
  for (const wrong of [{ follow: 'yes' }, { offset: '' }, { offset: '-1' }, { offset: '1e3' }, { colour: 'red' }]) {
    assert.ok(!query.safeParse(wrong).success, JSON.stringify(wrong))
  }
  assert.ok(!ENDPOINTS['event.list'].query.safeParse({ kinds: 'host.lost,host.exploded' }).success)
})

test('a record of a newer version is read, its unknown fields dropped', () => {
  const policy = recordDecoder.policy({ maintenance: true, colour: 'red' })
  assert.deepEqual(policy, { ok: true, value: { maintenance: true } })
})

test('a damaged record is a failure that names the field', () => {
  const policy = recordDecoder.policy({ maintenance: 'perhaps' })
  assert.ok(!policy.ok)
  assert.equal(policy.error.code, 'internal')
  assert.match(policy.error.message, /policy record .* maintenance:/)
})

test('every failure survives the way over the wire, its cause as sentences', () => {
  for (const code of Object.keys(FAILURES) as (keyof typeof FAILURES)[]) {
    const cause = new Error('outer', { cause: failure('storage', 'inner') })
    const problem = problemSchema.parse(problemFromFailure(failure(code, 'It broke', { hint: 'Mend it', cause })))
    assert.equal(problem.status, FAILURES[code].status)
    assert.deepEqual(problem.causes, ['outer', 'storage: inner'])
    assert.deepEqual(
      failureFromProblem(problem),
      failure(code, 'It broke', { hint: 'Mend it', cause: ['outer', 'storage: inner'] }),
    )
  }
})

test('a code that a newer agent knows is kept in the text', () => {
  const known = problemFromFailure(failure('internal', 'It broke'))
  const found = failureFromProblem({ ...known, code: 'on_fire' })
  assert.equal(found.code, 'internal')
  assert.equal(found.message, 'on_fire: It broke')
})

test('a chain of causes that runs in a circle ends', () => {
  const error = new Error('round')
  error.cause = error
  assert.equal(causeChain(error).length, 8)
})

test('kernels and images are told by their first bytes', () => {
  const bzImage = new Uint8Array(1024)
  bzImage.set(new TextEncoder().encode('HdrS'), 0x202)
  assert.equal(kernelFormat(bzImage), 'bzImage')
  assert.equal(kernelFormat(Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 2])), 'elf')
  assert.equal(kernelFormat(new TextEncoder().encode('#!/bin/sh')), undefined)
  assert.equal(kernelFormat(new Uint8Array(0)), undefined)
})
