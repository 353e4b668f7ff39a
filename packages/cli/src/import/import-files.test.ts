import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { parseClusterFile } from '@stead/api/cluster-file.ts'
import { buildProgram, runProgram } from '../program.ts'
import { processTerminal, type Terminal } from '../session.ts'
import { importFiles } from './import-files.ts'
import { clusterFileText, leftOutText } from './import-report.ts'
import type { LeftOut } from './imported.ts'

const fixture = (name: string) => join(import.meta.dirname, 'fixtures', name)

async function stead(...argv: string[]) {
  const seen = { stdout: '', stderr: '', exitCode: 0 }
  const terminal: Terminal = {
    ...processTerminal,
    stdout: { write: (text) => (seen.stdout += String(text)) },
    stderr: { write: (text) => (seen.stderr += text) },
    onInterrupt: () => () => undefined,
    setExitCode: (code) => (seen.exitCode = code),
  }
  await runProgram(buildProgram(terminal), argv, terminal)
  return seen
}

async function written(context: TestContext, content: string | Uint8Array): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'stead-import-'))
  context.after(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'file')
  await writeFile(path, content)
  return path
}

async function refusalOf(paths: readonly string[], sizes?: string): Promise<string> {
  const result = await importFiles(paths, sizes)
  assert.ok(!result.ok, 'it was taken')
  assert.equal(result.error.code, 'bad_request')
  return result.error.message
}

test('the command prints the cluster file, and what was left out beside it', async () => {
  const { stdout, stderr, exitCode } = await stead('import', fixture('two-nodes.xml'))
  assert.equal(exitCode, 0)
  const file = parseClusterFile(stdout)
  assert.ok(file.ok)
  assert.equal(file.value.guests.length, 6)
  assert.match(stderr, /^2 hosts, 6 guests and 8 rules were imported\. Without a counterpart, or assumed:\n/)
  assert.match(stderr, /\n {2}clone \(line 56, ping-clone\): a guest of Stead runs once, not on every host\n/)
})

test('the command reads several files of Proxmox VE as one', async () => {
  const paths = ['ha-rules.cfg', 'ha-resources-9.cfg'].map(fixture)
  const { stdout } = await stead('import', ...paths, '--sizes', fixture('cluster-resources.json'), '--json')
  assert.equal(JSON.parse(stdout).guests.length, 5)
})

test('a file that can not be imported ends the command with the code of a bad request', async () => {
  const { stdout, stderr, exitCode } = await stead('import', fixture('nothing.xml'))
  assert.deepEqual([stdout, exitCode], ['', 2])
  assert.match(stderr, /nothing\.xml does not exist\nhint: Check the path\n$/)
})

test('files that can not be read are refused with the reason', async (context) => {
  assert.match(await refusalOf([await written(context, 'BZh91AY')]), /is compressed$/)
  assert.match(await refusalOf([await written(context, Uint8Array.of(0xff, 0xfe, 0x3c))]), /is no text in UTF-8$/)
  assert.match(await refusalOf([import.meta.dirname]), /can not be read: EISDIR/)
})

test('a CIB stands alone', async () => {
  const cib = fixture('two-nodes.xml')
  assert.match(await refusalOf([cib, fixture('ha-rules.cfg')]), /is XML, and other files were given with it$/)
  assert.match(await refusalOf([cib], fixture('cluster-resources.json')), /is XML, and other files/)
})

test('an imported file has a host, a guest and a rule a line', async () => {
  const imported = await importFiles([fixture('generated.xml')])
  assert.ok(imported.ok)
  const { file } = imported.value
  const lines = clusterFileText(file).split('\n')
  assert.equal(
    lines.filter((line) => line.startsWith('    {')).length,
    file.hosts.length + file.guests.length + file.rules.length,
  )
  assert.deepEqual(parseClusterFile(clusterFileText(file)), { ok: true, value: file })
})

test('names in a foreign file can not move the cursor', async () => {
  const imported = await importFiles([fixture('generated.xml')])
  assert.ok(imported.ok)
  const odd: LeftOut = { what: 'clone \u001b[2J', where: 'line 1', why: 'x' }
  assert.match(leftOutText(imported.value.file, [odd]), /\n {2}clone \?\[2J \(line 1\): x$/)
})
