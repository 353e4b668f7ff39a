import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { failure } from '@stead/core/errors.ts'
import { refusal, terminalWith } from '../terminal-fixture.ts'
import { yamlFile } from '../yaml-file.ts'

const project = (name: string, more: object = {}) => ({
  ...{ name, notes: '', quota: {}, usage: {}, images: 0, createdAt: null, revision: '7', ...more },
})
const LISTS = Object.fromEntries(
  ['hosts', 'roles', 'users', 'groups', 'permissions', 'guests', 'rules'].map((kind) => [
    `GET /v1/${kind}`,
    { items: [] },
  ]),
)
const CLUSTER = {
  ...LISTS,
  'GET /v1/policy': { cpuOvercommit: 1, armed: true, revision: '3' },
  'GET /v1/certificate': { wanted: null, revision: '0' },
  'GET /v1/projects': { items: [project('default', { revision: '0' }), project('old'), project('kept')] },
}

async function start(context: TestContext, answers: object, yaml: string) {
  const { run, seen, terminal } = await terminalWith(context, { ...CLUSTER, ...answers })
  const path = join(seen.folder, 'cluster.yaml')
  await writeFile(path, yaml)
  const changes = () =>
    seen.sent.filter(({ line }) => !line.startsWith('GET ')).map(({ line, body }) => `${line} ${body}`)
  return { run: (verb: string, ...argv: string[]) => run(verb, '-f', path, ...argv), changes, terminal }
}

const FILE = `
stead: 1
policy: { cpuOvercommit: 4 }
projects:
  - name: new
    quota: { guests: 2 }
  - name: kept
    notes: "yes"
`

test('diff and apply --what-if say what would be done, and change nothing', async (context) => {
  const { run, changes } = await start(context, {}, FILE)
  for (const argv of [['diff'], ['apply', '--what-if']] as const) {
    const seen = await run(...(argv as unknown as [string, ...string[]]))
    assert.match(seen.stdout, /^~ the policy\n {4}cpuOvercommit: 1 -> 4\n\+ project new\n~ project kept\n/m)
    assert.match(seen.stdout, /1 not in the file stay; --prune would delete them/)
    seen.stdout = ''
  }
  assert.deepEqual(changes(), [])
})

test('apply does it once somebody has agreed, each change on the revision that was looked at', async (context) => {
  const answers = {
    'PATCH /v1/policy': { warnings: [] },
    'POST /v1/projects': project('new'),
    'PATCH /v1/projects/kept': project('kept'),
    'DELETE /v1/projects/old': {},
  }
  const { run, changes } = await start(context, answers, FILE)
  const unasked = await run('apply', '--prune')
  assert.equal(unasked.exitCode, 2, 'nobody is there to be asked')
  assert.deepEqual(changes(), [])
  const seen = await run('apply', '--prune', '--yes')
  assert.deepEqual(changes(), [
    'PATCH /v1/policy {"cpuOvercommit":4}',
    'POST /v1/projects {"name":"new","quota":{"guests":2}}',
    'PATCH /v1/projects/kept {"notes":"yes"}',
    'DELETE /v1/projects/old ',
  ])
  assert.match(seen.stderr, /deleted project old/)
})

test('what fails is named, and nothing after it is done', async (context) => {
  const { run, changes } = await start(
    context,
    { 'PATCH /v1/policy': refusal(failure('changed_meanwhile', 'The policy was changed meanwhile')) },
    FILE,
  )
  const seen = await run('apply', '--yes')
  assert.match(seen.stderr, /error: policy policy: The policy was changed meanwhile/)
  assert.equal(seen.exitCode, 5)
  assert.equal(changes().length, 1)
})

test('what no change can bring about is said before anything is changed', async (context) => {
  const { run, changes } = await start(context, {}, 'stead: 1\npolicy: { cpuOvercommit: 2 }\nhosts: [{ name: h9 }]\n')
  const seen = await run('apply', '--yes')
  assert.match(seen.stderr, /error: host h9: there is no such host/)
  assert.deepEqual([seen.exitCode, changes().length], [5, 0])
})

test('export prints a file that apply finds nothing to do for', async (context) => {
  const { run, seen } = await terminalWith(context, CLUSTER)
  await run('export')
  const document = await yamlFile(seen.stdout, 'export')
  assert.ok(document.ok)
  assert.deepEqual((document.value as { projects: unknown }).projects, [{ name: 'old' }, { name: 'kept' }])
  const path = join(seen.folder, 'exported.yaml')
  await writeFile(path, seen.stdout)
  const again = await run('apply', '-f', path)
  assert.match(again.stdout, /The cluster is as the file says/)
})

for (const [what, yaml, message] of [
  ['no YAML', 'a: [', /not YAML/],
  ['a name twice', 'stead: 1\nstead: 1\n', /unique/i],
  ['aliases that grow without bound', bomb(), /not YAML/],
  ['no mapping', '- 1', /not valid/],
] as const) {
  test(`a file with ${what} is refused`, async (context) => {
    const { run, changes } = await start(context, {}, yaml)
    const seen = await run('apply', '--yes')
    assert.match(seen.stderr, message)
    assert.deepEqual([seen.exitCode, changes().length], [2, 0])
  })
}

function bomb(): string {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
  for (let level = 1; level < 9; level++)
    lines.push(`a${level}: &a${level} [${Array.from({ length: 10 }, () => `*a${level - 1}`).join(', ')}]`)
  return `${lines.join('\n')}\n`
}
