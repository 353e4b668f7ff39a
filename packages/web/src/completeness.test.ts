/** What the API can do the interface can do: a page calls each endpoint and fills each field, or it stands here why none does. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ALL_ENDPOINTS, ENDPOINTS, type EndpointId } from '@stead/api/endpoints.ts'
import { z } from 'zod'

/** Of what the page knows by the stream of live views: the list, one, or the cluster itself. */
const LIVE = 'live/live-store.ts holds it, kept up to date by `view.list`'
/** One of a list whose items have all fields. */
const LISTED = 'its list tells the same of it'
const PROGRAMS = 'for programs, which ask for it themselves'

const NOT_CALLED: Partial<Record<EndpointId, string>> = {
  'cluster.show': LIVE,
  'host.list': LIVE,
  'host.show': LIVE,
  'guest.list': LIVE,
  'volume.list': LIVE,
  'volume.show': LIVE,
  'operation.list': LIVE,
  'schedule.list': LIVE,
  'rule.show': LISTED,
  'user.show': LISTED,
  'project.show': LISTED,
  'realm.show': LISTED,
  'webhook.show': LISTED,
  'template.show': LISTED,
  'backup.show': LISTED,
  'cluster.recover': 'done as root of the one host that is left, where no browser signs in any more',
  'openapi.show': PROGRAMS,
  'metrics.scrape': PROGRAMS,
  'console.open': 'ConsoleConnection of packages/api calls it',
  'console.enter': 'ShellConnection of packages/api calls it',
  'console.connect': 'ConsoleConnection of packages/api opens it',
  'backup.fetch': 'a link leads there: the browser fetches a file that may be larger than its memory',
  'blob.get': 'a link leads there: the browser fetches a file that may be larger than its memory',
}

/** By endpoint and place in the request. */
const NOT_FILLED: Readonly<Record<string, string>> = {
  'guest.create boot.kernel':
    'a machine that starts a kernel from outside its disks is for tests; the command line makes it',
  'guest.create boot.initrd': 'as the kernel',
  'guest.plan boot.kernel': 'as for guest.create',
  'guest.plan boot.initrd': 'as for guest.create',
  'guest.plan acceptBreach': 'where it would go is said all the same',
}
/** Filled by the browser itself, from what a security key answers. */
const OF_SECURITY_KEYS = /^(auth\.second-factor key|auth\.key|factor\.add-key)\b.*\bresponse\b/

const SOURCE = import.meta.dirname
const source = globSync('**/*.{ts,tsx}', { cwd: SOURCE })
  .filter((file) => !file.includes('.test.') && !file.startsWith('i18n/'))
  .map((file) => readFileSync(join(SOURCE, file), 'utf8'))
  .join('\n')
const isCalled = (id: string) => source.includes(`ENDPOINTS['${id}']`)

test('every endpoint is called by a page, or it is said why none calls it', () => {
  const missing = ALL_ENDPOINTS.filter(({ id }) => !isCalled(id) && NOT_CALLED[id as EndpointId] === undefined)
  assert.deepEqual(
    missing.map(({ id, summary }) => `${id}: ${summary}`),
    [],
  )
})

test('what is said of endpoints that no page calls is still so', () => {
  for (const id of Object.keys(NOT_CALLED)) {
    assert.ok(id in ENDPOINTS, `there is no ${id} any more`)
    assert.ok(!isCalled(id), `${id} is called by now`)
  }
})

/** The fields of an object, however it is wrapped; of several kinds of object those of all. */
function fieldsOf(schema: z.ZodType): readonly (readonly [string, z.ZodType])[] {
  if (schema instanceof z.ZodObject) return Object.entries(schema.shape as Record<string, z.ZodType>)
  if (schema instanceof z.ZodArray) return fieldsOf(schema.element as z.ZodType)
  if (schema instanceof z.ZodUnion) return schema.options.flatMap((option) => fieldsOf(option as z.ZodType))
  const { def } = schema as unknown as { def: { innerType?: z.ZodType; in?: z.ZodType } }
  const inner = def.innerType ?? def.in
  return inner ? fieldsOf(inner) : []
}

function placesOf(schema: z.ZodType, within = ''): readonly string[] {
  return fieldsOf(schema).flatMap(([name, field]) => [`${within}${name}`, ...placesOf(field, `${within}${name}.`)])
}

// By name alone: a field that is called as one of another form is not missed here.
const isNamed = (place: string) => new RegExp(`\\b${place.split('.').at(-1)}\\b`).test(source)

test('every field of a request has its place in a form, or it is said why it has none', () => {
  const places = ALL_ENDPOINTS.filter(({ id }) => isCalled(id)).flatMap(({ id, body }) =>
    body ? placesOf(body).map((place) => [`${id} ${place}`, place] as const) : [],
  )
  assert.ok(places.length > 200, `${places.length}`)
  assert.deepEqual(
    [...new Set(places.filter(([, place]) => !isNamed(place)).map(([field]) => field))].filter(
      (field) => NOT_FILLED[field] === undefined && !OF_SECURITY_KEYS.test(field),
    ),
    [],
  )
})
