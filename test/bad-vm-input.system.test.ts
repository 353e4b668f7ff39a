/**
 * Whatever is given to any `stead vm` command, or sent to any endpoint about a guest: the answer is a documented failure
 * with a hint, or the thing is done. Never an error inside Stead, never a control character on the terminal, and never a
 * record that cannot be read. New commands and endpoints are covered as they come.
 */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { join } from 'node:path'
import { unixTransport } from '@stead/client/node-transport.ts'
import { buildProgram, runProgram } from '@stead/cli/program.ts'
import { ALL_ENDPOINTS, ENDPOINTS } from '@stead/api/endpoints.ts'
import type { Endpoint } from '@stead/api/endpoint.ts'
import type { GuestView } from '@stead/api/views.ts'
import { FAILURES } from '@stead/core/errors.ts'
import { BAD_JSON, BAD_NAMES, BAD_WORDS } from './support/bad-values.ts'
import { LabCluster } from './support/lab-cluster.ts'
import { sendRaw, type RawAnswer } from './support/raw-api.ts'

const EXIT_CODES = new Set<number>([0, 11, ...Object.values(FAILURES).map(({ exit }) => exit)])
/** An error inside Stead. */
const INTERNAL = FAILURES.internal.exit
/** Follow what is there, or hold the terminal: their names are tried, their options are not. */
const ENDLESS = /^vm (log|console|vnc|screenshot)/
const HOST = 'h1'

interface Outcome {
  readonly exit: number
  readonly out: string
  readonly err: string
}

interface Leaf {
  readonly path: readonly string[]
  readonly arguments: readonly string[]
  readonly required: readonly string[]
  /** Those that take a value. */
  readonly options: readonly string[]
}

suite('bad input to everything about guests', { timeout: 600_000 }, () => {
  let lab: LabCluster
  before(async () => {
    lab = await LabCluster.up({ hosts: 1 })
    await lab.createIdle('web', { replicas: 1, start: false })
  })
  after(() => lab.down())

  /** As `bin/stead`, in this process: hundreds of commands in the time of a few. */
  async function stead(...args: readonly string[]): Promise<Outcome> {
    const seen = { exit: 0, out: '', err: '' }
    const terminal = {
      env: lab.env,
      stdout: { write: (text: string | Uint8Array) => (seen.out += Buffer.from(text as string).toString()) },
      stderr: { write: (text: string) => (seen.err += text) },
      transport: unixTransport,
      onInterrupt: () => () => undefined,
      setExitCode: (code: number) => (seen.exit = code),
    }
    await runProgram(buildProgram(terminal), args, terminal)
    return seen
  }

  /** The documented ways for a command to end; what is wrong with this one, if anything. */
  function faultOf(args: readonly string[], { exit, out, err }: Outcome): string[] {
    const shown = `stead ${args.map((arg) => JSON.stringify(arg.slice(0, 60))).join(' ')}`
    const faults = [
      ...(EXIT_CODES.has(exit) && exit !== INTERNAL ? [] : [`ends with ${exit}`]),
      // oxlint-disable-next-line no-control-regex -- that is what it is about
      ...(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/.test(out + err) ? ['prints control characters'] : []),
      ...(exit === 0 || /(^|\n)hint: .+/.test(err) ? [] : ['gives no hint']),
      ...((out + err).length > 15_000 ? [`prints ${(out + err).length} characters`] : []),
    ]
    return faults.map((fault) => `${shown} ${fault}: ${err.slice(0, 300)}`)
  }

  const guests = async (): Promise<GuestView[]> =>
    (JSON.parse((await stead('vm', 'list', '--json')).out || '[]') as GuestView[]).toSorted((a, b) =>
      a.name.localeCompare(b.name),
    )

  test('names of guests that there are not, given to every command', async () => {
    const before = await guests()
    const faults: string[] = []
    let tried = 0
    for (const leaf of leaves().filter((one) => one.arguments[0] === 'name' && one.path[1] !== 'create'))
      for (const name of BAD_NAMES) {
        const args = [
          ...leaf.path,
          ...requiredOf(leaf),
          '--timeout=5s',
          '--',
          name,
          ...leaf.arguments.slice(1).map(plausible),
        ]
        const outcome = await stead(...args)
        tried += 1
        faults.push(...faultOf(args, outcome))
        if (outcome.exit === 0) faults.push(`${args.join(' ')} found something`)
      }
    assert.deepEqual(faults, [])
    assert(tried > 200, `${tried} were tried`)
    assert.deepEqual(await guests(), before)
  })

  test('names that no guest may have are refused by create', async () => {
    for (const name of BAD_NAMES.filter((one) => !/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(one))) {
      const args = ['vm', 'create', '--memory', '64MiB', '--disk', '16MiB', '--image', 'none', '--', name]
      const outcome = await stead(...args)
      assert.equal(outcome.exit, FAILURES.bad_request.exit, `${JSON.stringify(name.slice(0, 50))}: ${outcome.err}`)
      assert.deepEqual(faultOf(args, outcome), [])
    }
    assert.equal((await guests()).length, 1)
  })

  test('values of every option of every command', async () => {
    const faults: string[] = []
    let tried = 0
    for (const leaf of leaves().filter(({ path }) => !ENDLESS.test(path.join(' ')) && path[1] !== 'delete'))
      for (const option of leaf.options)
        for (const word of BAD_WORDS) {
          const names = leaf.arguments.map((name, index) => (index === 0 ? 'web' : plausible(name)))
          const required = requiredOf({
            ...leaf,
            required: leaf.required.filter((one) => !one.startsWith(`${option} `)),
          })
          // `=`, since a value that begins with a dash would be taken for an option.
          const args = [...leaf.path, ...names, ...required, `${option}=${word}`, '--no-wait']
          tried += 1
          faults.push(...faultOf(args, await stead(...args)))
        }
    assert.deepEqual(faults, [])
    assert(tried > 500, `${tried} were tried`)
    assert.equal((await stead('vm', 'show', 'web')).exit, 0)
    await lab.must('vm', 'stop', 'web', '--force')
  })

  test('values of every field of every request', async () => {
    const faults: string[] = []
    let tried = 0
    for (const endpoint of ALL_ENDPOINTS.filter(isAboutGuests))
      for (const [field, value] of fieldsOf(endpoint).flatMap((name) => BAD_JSON.map((bad) => [name, bad] as const))) {
        const body = JSON.stringify({ ...requiredFields(endpoint), [field]: value })
        const answer = await send(endpoint, 'web', body)
        tried += 1
        if (answer.status >= 500 || (answer.status >= 400 && !answer.problem.hint))
          faults.push(`${endpoint.id} ${body.slice(0, 200)}: ${answer.status} ${JSON.stringify(answer.problem)}`)
      }
    assert.deepEqual(faults, [])
    assert(tried > 300, `${tried} were tried`)
    assert.equal((await stead('vm', 'show', 'web')).exit, 0)
  })

  test('bodies that are no objects, not JSON, or not UTF-8', async () => {
    const faults: string[] = []
    const bodies = ['', '[]', 'null', '"x"', '1', '{', '{"a":1,}', '{"a":NaN}', '\u0000', `{"a":${'['.repeat(5_000)}`]
    for (const endpoint of ALL_ENDPOINTS.filter((one) => isAboutGuests(one) && one.body))
      for (const body of [...bodies, Buffer.from([0xff, 0xfe, 0x7b])]) {
        const answer = await send(endpoint, 'web', body)
        if (answer.status >= 500 || (answer.status >= 400 && !answer.problem.hint))
          faults.push(`${endpoint.id} ${String(body).slice(0, 50)}: ${answer.status}`)
      }
    assert.deepEqual(faults, [])
  })

  test('of changes made at once on what all have seen, one is taken and the others are told', async () => {
    const client = lab.clientOf([HOST])
    const view = await client.call(ENDPOINTS['guest.show'], { params: { guest: 'web' } })
    assert(view.ok)
    const ifMatch = view.value.revision
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        client.call(ENDPOINTS['guest.set'], { params: { guest: 'web' }, body: { notes: `by ${index}` } }, { ifMatch }),
      ),
    )
    const codes = answers.map((answer) => (answer.ok ? 'taken' : answer.error.code)).toSorted()
    assert.deepEqual(codes, [...Array.from({ length: 9 }, () => 'changed_meanwhile'), 'taken'])
    const taken = answers.findIndex((answer) => answer.ok)
    const after = await client.call(ENDPOINTS['guest.show'], { params: { guest: 'web' } })
    assert.equal(after.ok && after.value.notes, `by ${taken}`)
  })

  test('of changes made at once without a look, none gets lost', async () => {
    const client = lab.clientOf([HOST])
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, index) =>
        client.call(ENDPOINTS['schedule.add'], {
          params: { guest: 'web' },
          body: { name: `s${index}`, action: 'stop', cron: '@yearly' },
        }),
      ),
    )
    const taken = answers.flatMap((answer) => (answer.ok ? [answer.value.name] : []))
    for (const answer of answers) if (!answer.ok) assert.equal(answer.error.code, 'changed_meanwhile')
    const listed = await client.call(ENDPOINTS['schedule.list'], { query: { guest: 'web' } })
    assert(listed.ok)
    const kept = listed.value.items.map(({ name }) => name).filter((name) => /^s\d$/.test(name))
    assert.deepEqual(kept.toSorted(), taken.toSorted())
  })

  function send(endpoint: Endpoint, guest: string, body: string | Buffer): Promise<RawAnswer> {
    const path = endpoint.path.replace('{guest}', guest).replaceAll(/\{\w+\}/g, 'x')
    return sendRaw(join(lab.hostFolder(HOST), 'agent.sock'), {
      method: endpoint.method,
      path,
      body,
      type: 'application/json',
    })
  }
})

function leaves(): Leaf[] {
  const program = buildProgram()
  const vm = program.commands.find((command) => command.name() === 'vm')
  assert(vm)
  const shared = new Set(['--output', '--timeout', '--foreseen'])
  const below = (command: typeof vm, path: readonly string[]): Leaf[] => {
    const here = [...path, command.name()]
    if (command.commands.length > 0) return command.commands.flatMap((one) => below(one, here))
    const options = command.options.filter((one) => !shared.has(one.long ?? '') && (one.required || one.optional))
    return [
      {
        path: here,
        arguments: command.registeredArguments.filter(({ required }) => required).map((one) => one.name()),
        required: options.filter(({ mandatory }) => mandatory).map(({ flags }) => flags),
        options: options.flatMap(({ long }) => long ?? []),
      },
    ]
  }
  return vm.commands.flatMap((command) => below(command, ['vm']))
}

/** A value that fits what its place is called. */
function plausible(name: string): string {
  if (/size|bytes/i.test(name)) return '64MiB'
  if (/duration|time/i.test(name)) return '1s'
  if (/action/.test(name)) return 'stop'
  if (/expression/.test(name)) return '@daily'
  return /^(n|count|number|port|index)$/.test(name) ? '1' : 'x'
}

function requiredOf({ required }: Pick<Leaf, 'required'>): string[] {
  return required.map((flags) => {
    const [, long = '', name = ''] = /(--[\w-]+) <([\w-]+)>/.exec(flags) ?? []
    return `${long}=${plausible(name)}`
  })
}

function isAboutGuests({ path, method, upload, streams }: Endpoint): boolean {
  return path.includes('{guest}') && method !== 'GET' && method !== 'HEAD' && method !== 'DELETE' && !upload && !streams
}

interface ObjectSchema {
  readonly properties?: Readonly<Record<string, unknown>>
  readonly required?: readonly string[]
  readonly oneOf?: readonly ObjectSchema[]
  readonly anyOf?: readonly ObjectSchema[]
}

function schemaOf({ body }: Endpoint): readonly ObjectSchema[] {
  if (!body) return []
  const schema = body.toJSONSchema({ io: 'input', unrepresentable: 'any' }) as ObjectSchema
  return schema.oneOf ?? schema.anyOf ?? [schema]
}

function fieldsOf(endpoint: Endpoint): string[] {
  return [...new Set(schemaOf(endpoint).flatMap(({ properties = {} }) => Object.keys(properties))), 'unknownField']
}

/** Something for each field that must be there, so that the one that is bad is looked at. */
function requiredFields(endpoint: Endpoint): Record<string, unknown> {
  const [first] = schemaOf(endpoint)
  return Object.fromEntries((first?.required ?? []).map((name) => [name, KNOWN_FIELDS[name] ?? 'x']))
}

const KNOWN_FIELDS: Readonly<Record<string, unknown>> = {
  to: HOST,
  check: { kind: 'tcp', port: 80, address: '10.66.1.1' },
  action: 'stop',
  cron: '@daily',
  command: ['true'],
  sizeBytes: 16 << 20,
}
