import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { ALL_ENDPOINTS } from '@stead/api/endpoints.ts'
import { openApiDocument } from '@stead/api/openapi.ts'
import { apiReference } from './api-reference.ts'

const FOLDER = join(import.meta.dirname, '..', 'docs/reference/api')

test('the pages of docs/reference/api are those of the contract', async () => {
  const pages = apiReference(openApiDocument())
  if (process.env['STEAD_WRITE_DOCUMENTS']) {
    await rm(FOLDER, { recursive: true, force: true })
    await mkdir(FOLDER, { recursive: true })
    for (const [name, text] of pages) await writeFile(join(FOLDER, name), text)
  }
  const hint = 'write them anew: STEAD_WRITE_DOCUMENTS=1 ./dev test unit --filter api-reference'
  assert.deepEqual((await readdir(FOLDER)).toSorted(), [...pages.keys()].toSorted(), hint)
  for (const [name, text] of pages) assert.equal(await readFile(join(FOLDER, name), 'utf8'), text, `${name}: ${hint}`)
})

test('each endpoint is told of, with its fields and their meaning', () => {
  const pages = apiReference(openApiDocument())
  const all = [...pages.values()].join('\n')
  for (const { id, method, path, summary } of ALL_ENDPOINTS) {
    assert.ok(all.includes(`## ${id}\n\n${summary}. \`${method} ${path}\``), id)
    assert.ok(pages.get('README.md')?.includes(`| \`${method} ${path}\` |`), id)
  }
  const guests = pages.get('guest.md') ?? ''
  assert.match(guests, /- `memoryBytes` \(integer at least 16777216.*\): Memory, in bytes; a multiple of 1 MiB/)
  assert.match(guests, / {2}- `replicas` \(.*default `2`\)/)
  assert.match(pages.get('rule.md') ?? '', /- where `kind` is `apart`:\n {2}- `kind`/)
})
