/**
 * The rules of this repository that no compiler checks: which way imports go, what `core` may not touch, how files
 * are called and how long they are, and that the documents tell of everything there is. Each failure names the file.
 */
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { test } from 'node:test'
import { ALL_ENDPOINTS, ENDPOINTS } from '@stead/api/endpoints.ts'
import { buildProgram } from '@stead/cli/program.ts'
import { PRIVILEGES } from '@stead/core/access/privilege.ts'
import { EVENT_KINDS } from '@stead/core/model/event.ts'
import { labCommand } from '@stead/lab/lab-commands.ts'

const ROOT = join(import.meta.dirname, '..')
const CODE = ['packages/*/src/**/*.{ts,tsx}', 'test/**/*.ts', 'dev.d/**/*.ts', 'bin/*.ts']

/** As docs/internals/architecture.md draws it. Every package may import itself and what its package.json names. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  sim: ['core'],
  api: ['core'],
  agent: ['core', 'api'],
  client: ['core', 'api'],
  cli: ['core', 'api', 'client'],
  lab: ['core', 'api', 'client', 'cli', 'agent'],
  web: ['core', 'api'],
}

const LINES_MAX = 400
/** Of a test, whose cases are read one by one. */
const TEST_LINES_MAX = 500
/** Longer ones, with the length that they must not exceed and the reason. */
const LONG_FILES: Readonly<Record<string, readonly [lines: number, reason: string]>> = {
  'packages/core/src/host/guest-run.ts': [630, 'one actor; its steps share its state and are read together'],
  'packages/core/src/host/disk-keeper.ts': [530, 'one actor: every change of the disks of a run has its turn in it'],
  'packages/agent/src/nbd/nbd-client.ts': [430, 'one protocol state machine'],
  'packages/agent/src/qemu/qemu-guest-host.ts': [458, 'the whole port GuestHost, one method after the other'],
  'packages/agent/src/qemu/running-guest.ts': [450, 'one QEMU process and all that it tells of itself'],
  'packages/agent/src/storage/replica-snapshots.ts': [
    410,
    'one state machine: cutting, merging and rolling back layers',
  ],
  'packages/agent/src/storage/volume-node.ts': [415, 'one volume in its daemon: nodes, bitmaps, exports'],
  'packages/agent/src/container/lxc-guest-host.ts': [405, 'the whole port GuestHost, one method after the other'],
  'packages/agent/src/storage/qsd-volume-host.ts': [708, 'the whole port VolumeHost, one method after the other'],
  'packages/agent/src/container/container-run.ts': [404, 'one run from its start to its end'],
  'packages/api/src/records.ts': [452, 'every record of the store, one schema after the other'],
  'packages/sim/src/memory-store.ts': [410, 'one simulated etcd server and its client'],
  'packages/sim/src/memory-volume-host.ts': [606, 'the whole port VolumeHost, one method after the other'],
  'packages/sim/src/contract/guest-host-contract.ts': [525, 'the whole port GuestHost, one behaviour after the other'],
  'packages/sim/src/contract/volume-host-contract.ts': [
    582,
    'the whole port VolumeHost, one behaviour after the other',
  ],
  'packages/sim/src/world-host.ts': [501, 'one simulated machine: whatever happens to it reaches all of its parts'],
}

/** Files that a process is started with, or that a tool loads: nothing imports them. */
const ENTRY_POINTS = new Set([
  'bin/stead.ts',
  'dev.d/main.ts',
  'packages/agent/src/http/web-certificate-maker.ts',
  'packages/agent/src/identity/password-strength-worker.ts',
  'dev.d/sim-worker.ts',
  'dev.d/tick-listener.ts',
  'dev.d/totals-reporter.ts',
  'packages/agent/src/main.ts',
  'packages/agent/src/storage/storage-door-rig-fixture.ts',
  'packages/agent/src/guardian/guardian-main.ts',
  // Run by a test in namespaces of its own.
  'packages/agent/src/container/live-move/container-host-main.ts',
  // Run by a test in a mount namespace of its own.
  'packages/agent/src/images/full-disk-fixture.ts',
  // What `@stead/client` is built from.
  'packages/client/src/stead.ts',
  'packages/client/src/browser-way.ts',
  'packages/lab/src/forwarder-main.ts',
  'packages/lab/src/tour-main.ts',
  // Run by a test in the namespace of a lab's client.
  'test/support/http-load-main.ts',
  'packages/web/src/main.tsx',
  // Types that the compiler finds by the package's name.
  'packages/web/src/consoles/novnc.d.ts',
])

const BANNED_NAMES = /^(utils?|helpers?|common|misc|managers?|index)\./

interface SourceFile {
  readonly path: string
  readonly text: string
  /** Without comments and the contents of texts: what a word in it means is code. */
  readonly code: string
  /** As written: `./x.ts`, `@stead/core/x.ts`, `node:fs`, `zod`. */
  readonly imports: readonly string[]
  /** Tests, and what only tests use. */
  readonly isTest: boolean
}

const FILES: readonly SourceFile[] = globSync(CODE, { cwd: ROOT })
  .filter((path) => !path.includes('/generated/'))
  .toSorted()
  .map((path) => {
    const text = readFileSync(join(ROOT, path), 'utf8')
    return { path, text, code: codeOf(text), imports: importsOf(text), isTest: isTest(path) }
  })
const PRODUCT = FILES.filter((file) => !file.isTest)

test('imports run one way between the packages', () => {
  const wrong = PRODUCT.flatMap(({ path, imports }) => {
    const own = packageOf(path)
    if (own === undefined) return []
    const allowed = MAY_IMPORT[own]
    assert.ok(allowed, `the package ${own} has no place in the order of imports`)
    return imports.flatMap((name) => {
      const other = /^@stead\/(\w+)\//.exec(name)?.[1]
      return other === undefined || other === own || allowed.includes(other) ? [] : [`${path} imports ${name}`]
    })
  })
  assert.deepEqual(wrong, [])
})

test('every package names what it imports in its package.json', () => {
  const wrong = FILES.flatMap(({ path, imports, isTest }) => {
    const own = packageOf(path)
    // A test may also use what the whole repository is developed with.
    const declared = new Set([
      ...declaredBy(own === undefined ? '.' : `packages/${own}`, isTest),
      ...(isTest ? declaredBy('.', true) : []),
    ])
    const bare = imports.filter((name) => !name.startsWith('.') && !name.startsWith('node:'))
    const names = bare.map((name) =>
      (name.startsWith('@') ? name.split('/').slice(0, 2) : [name.split('/')[0]]).join('/'),
    )
    const missing = names.filter((name) => name !== `@stead/${own}` && !declared.has(name))
    return missing.map((name) => `${path} imports ${name}`)
  })
  assert.deepEqual(wrong, [])
})

test('no import leaves its package by a relative path', () => {
  const wrong = PRODUCT.flatMap(({ path, imports }) => {
    const own = packageOf(path)
    if (own === undefined) return []
    const outside = imports.filter((name) => name.startsWith('.') && packageOf(resolveFrom(path, name)) !== own)
    return outside.map((name) => `${path} imports ${name}`)
  })
  assert.deepEqual(wrong, [])
})

test('core and api do not touch the world', () => {
  const world =
    /\b(Date\.now|Math\.random|setTimeout|setInterval|setImmediate|performance|process|fetch)\b|new Date\(\)/
  const wrong = PRODUCT.flatMap(({ path, code, imports }) => {
    const own = packageOf(path)
    if (own !== 'core' && own !== 'api') return []
    const node = imports.filter((name) => name.startsWith('node:')).map((name) => `${path} imports ${name}`)
    const found = own === 'core' ? world.exec(withoutProperties(code)) : null
    return found ? [...node, `${path} uses ${found[0]}`] : node
  })
  assert.deepEqual(wrong, [])
})

test('files are named after what they do', () => {
  assert.deepEqual(
    FILES.map(({ path }) => path).filter((path) => BANNED_NAMES.test(path.split('/').at(-1) ?? '')),
    [],
  )
})

test('there are no default exports, but where a tool wants one', () => {
  const found = FILES.filter(({ code }) => /^export default\b|\bas default\b/m.test(code)).map(({ path }) => path)
  assert.deepEqual(found, ['dev.d/totals-reporter.ts'])
})

test('only syntax that type stripping can remove', () => {
  const found = FILES.filter(({ code }) =>
    /^\s*(export )?(declare )?(const )?(enum|namespace|module) \w+ *\{/m.test(code),
  )
  assert.deepEqual(
    found.map(({ path }) => path),
    [],
  )
})

test(`a file has at most ${LINES_MAX} lines, or a reason`, () => {
  const wrong = FILES.flatMap(({ path, text, isTest }) => {
    const lines = text.split('\n').length - 1
    const limit = LONG_FILES[path]?.[0] ?? (isTest ? TEST_LINES_MAX : LINES_MAX)
    return lines > limit ? [`${path} has ${lines} lines, ${limit} are allowed`] : []
  })
  assert.deepEqual(wrong, [])
  assert.deepEqual(
    Object.keys(LONG_FILES).filter((path) => !existsSync(join(ROOT, path))),
    [],
  )
})

test('every source file is imported or is an entry point', () => {
  const imported = new Set(FILES.flatMap(({ path, imports }) => imports.map((name) => resolveFrom(path, name))))
  const dead = FILES.map(({ path }) => path).filter(
    (path) => !path.endsWith('.test.ts') && !imported.has(inEnglish(path)) && !ENTRY_POINTS.has(path),
  )
  assert.deepEqual(dead, [])
})

/** The interface loads its texts by the name of a language; only the English ones are named in an import. */
function inEnglish(path: string): string {
  return path.replace(/^(packages\/web\/src\/i18n\/)(?:fr|pl)\//, '$1en/')
}

test('nothing is left for later without an issue', () => {
  const mark = new RegExp(`\\b(${['TO', 'DO'].join('')}|${['FIX', 'ME'].join('')})\\b`)
  assert.deepEqual(
    FILES.filter(({ text }) => mark.test(text)).map(({ path }) => path),
    [],
  )
})

test('a test that is skipped says why', () => {
  const silent = /\b(test|it|describe)\.(skip|todo|only)\(|\b(skip|todo|only): true\b|\.skip\(\)/
  const own = relative(ROOT, import.meta.filename)
  const found = FILES.filter(({ path, text, isTest }) => isTest && path !== own && silent.test(text))
  assert.deepEqual(
    found.map(({ path }) => path),
    [],
  )
})

test('every endpoint has a permission and a summary', () => {
  for (const [id, endpoint] of Object.entries(ENDPOINTS)) assert.equal(endpoint.id, id)
  const known: readonly string[] = [...PRIVILEGES, 'none']
  for (const { id, permission, summary } of ALL_ENDPOINTS) {
    assert.ok(known.includes(permission), `${id} has the permission ${permission}`)
    assert.match(summary, /^[A-Z].*[^.]$/, `the summary of ${id}`)
  }
})

test('the documents tell of every command', () => {
  const commandLine = readDocument('docs/operating/cli.md')
  const lab = readDocument('docs/operating/lab.md')
  // What a container has in common with a virtual machine is told once.
  const isTold = (command: string) =>
    [command, command.replace(/^ct /, 'vm ')].some((form) => commandLine.includes(`\`stead ${form}`))
  const missing = [
    ...commandsOf(buildProgram()).filter((command) => !isTold(command)),
    ...commandsOf(labCommand()).filter((command) => !lab.includes(`\`stead lab ${command}`)),
  ]
  assert.deepEqual(missing, [])
})

test('the documents tell of every kind of event, and of no other', () => {
  const rows = readDocument('docs/operating/events.md').matchAll(/^\| `([a-z.-]+)` \|/gm)
  assert.deepEqual(new Set([...rows].map(([, kind]) => kind)), new Set<string>(EVENT_KINDS))
})

test('the documents give a reason for every dependency', () => {
  const text = readDocument('docs/dependencies.md')
  const packages = ['.', ...globSync('packages/*', { cwd: ROOT })].flatMap((folder) => [...declaredBy(folder, true)])
  const debian = [...readDocument('dev.d/debian-packages.ts').matchAll(/\{ name: '([^']+)'/g)].map(([, name]) => name)
  const names = [...packages.filter((name) => !name.startsWith('@stead/')), ...debian]
  assert.deepEqual(
    names.filter((name) => !text.includes(`| \`${name}\``)),
    [],
  )
})

test('links between the documents, and from comments to them, lead somewhere', () => {
  const documents = globSync(['*.md', 'docs/**/*.md'], { cwd: ROOT })
  const links = documents.flatMap((path) =>
    [...readDocument(path).matchAll(/\]\(([^)#\s]+)(#[^)]*)?\)/g)].map(([, target = '']) => [path, target] as const),
  )
  const broken = links
    .filter(([, target]) => !/^[a-z]+:/.test(target))
    .filter(([path, target]) => !existsSync(join(ROOT, dirname(path), target)))
  assert.deepEqual(broken, [])
  const mentioned = FILES.flatMap(({ path, text }) =>
    [...text.matchAll(/\bdocs\/[\w/-]+\.md\b/g)].map(([document]) => [path, document] as const),
  )
  // `./dev bench` writes that one.
  const missing = mentioned.filter(
    ([, document]) => document !== 'docs/benchmarks.md' && !existsSync(join(ROOT, document)),
  )
  assert.deepEqual(missing, [])
})

function isTest(path: string): boolean {
  return /\.test\.ts$|-(fixture|testbed)\.ts$|^test\/|^packages\/sim\/src\/contract\//.test(path)
}

function packageOf(path: string): string | undefined {
  return /^packages\/(\w+)\//.exec(path)?.[1]
}

function importsOf(text: string): string[] {
  const found = text.matchAll(/^(?:import|export)\b[^'";]*?from '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm)
  return [...found].map(([, from, only, late]) => from ?? only ?? late ?? '')
}

/** Path in the repository of what an import names; packages that are not ours stay as they are. */
function resolveFrom(path: string, name: string): string {
  if (name.startsWith('.')) return normalize(join(dirname(path), name))
  return name.replace(/^@stead\/(\w+)\//, 'packages/$1/src/')
}

function codeOf(text: string): string {
  return text
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/'(?:[^'\\\n]|\\.)*'/g, "''")
    .replaceAll(/^\s*\/\/.*$|\s\/\/ .*$/gm, '')
}

/** `launch.process` and `process: …` name a field, not the global. */
function withoutProperties(code: string): string {
  return code.replaceAll(/\.\w+|\b\w+\??:/g, (word) => (/^\.(now|random)$/.test(word) ? word : ''))
}

const manifests = new Map<string, Record<string, Record<string, string> | undefined>>()

function declaredBy(folder: string, withDevelopment: boolean): Set<string> {
  const manifest = manifests.get(folder) ?? JSON.parse(readDocument(join(folder, 'package.json')))
  manifests.set(folder, manifest)
  const names = Object.keys(manifest.dependencies ?? {})
  return new Set(withDevelopment ? [...names, ...Object.keys(manifest.devDependencies ?? {})] : names)
}

function readDocument(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

interface CommandNode {
  name(): string
  readonly commands: readonly CommandNode[]
}

/** `vm create`, `host list`: every command that does something itself. */
function commandsOf(node: CommandNode): string[] {
  return node.commands
    .filter((command) => command.name() !== 'help')
    .flatMap((command) => {
      const below = commandsOf(command)
      return below.length === 0 ? [command.name()] : below.map((name) => `${command.name()} ${name}`)
    })
}
