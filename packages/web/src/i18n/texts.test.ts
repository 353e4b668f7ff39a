import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { test } from 'node:test'
import { LANGUAGES, type TextTable } from './language.ts'

const SOURCE = join(import.meta.dirname, '..')
const PLURAL = /_(zero|one|two|few|many|other)$/

const areas = globSync('en/*.ts', { cwd: import.meta.dirname }).map((file) => basename(file, '.ts'))
const tables = new Map<string, TextTable>()
for (const language of LANGUAGES) {
  for (const area of areas) {
    const { texts } = (await import(`./${language}/${area}.ts`)) as { texts: TextTable }
    tables.set(`${language}/${area}`, texts)
  }
}
const tableOf = (language: string, area: string): TextTable => tables.get(`${language}/${area}`) ?? {}
const bases = (table: TextTable) => [...new Set(Object.keys(table).map((key) => key.replace(PLURAL, '')))].toSorted()
const basesOf = (area: string) => bases(tableOf('en', area))

test('every text is there in every language, in all the forms in which that language counts', () => {
  for (const language of LANGUAGES) {
    const forms = new Intl.PluralRules(language).resolvedOptions().pluralCategories
    for (const area of areas) {
      const [table, english] = [tableOf(language, area), tableOf('en', area)]
      assert.deepEqual(bases(table), bases(english), `${language}/${area}`)
      for (const base of bases(english)) {
        const wanted = `${base}_other` in english ? forms.map((form) => `${base}_${form}`) : [base]
        for (const key of wanted) assert.ok(table[key], `${language}/${area} has no ${key}`)
      }
    }
  }
})

test('a text takes the same values in every language', () => {
  const values = (text: string) => [...text.matchAll(/\{\{(\w+)\}\}/g)].map(([, name]) => name).toSorted()
  for (const area of areas) {
    for (const [key, text] of Object.entries(tableOf('en', area))) {
      // `one guest` needs no figure.
      if (PLURAL.test(key)) continue
      for (const language of ['fr', 'pl']) {
        assert.deepEqual(values(tableOf(language, area)[key] ?? ''), values(text), `${language}: ${key}`)
      }
    }
  }
})

test('no text stands in two areas', () => {
  const all = areas.flatMap(basesOf).toSorted()
  assert.deepEqual(
    all.filter((base, index) => base === all[index - 1]),
    [],
  )
})

/** What a file asks for: `'state.online'`, and by `state.${state}` everything that begins so. */
function textsOf(code: string): (base: string) => boolean {
  const prefixes = [...code.matchAll(/`([a-z][\w.]*\.)\$\{/g)].map(([, prefix = '']) => prefix)
  return (base) => code.includes(`'${base}'`) || prefixes.some((prefix) => base.startsWith(prefix))
}

const isCode = (file: string) => !file.includes('.test.') && !/i18n\/\w+\//.test(file)
const code = globSync('**/*.{ts,tsx}', { cwd: SOURCE })
  .filter(isCode)
  .map((file) => [file, readFileSync(join(SOURCE, file), 'utf8')] as const)

test('no text is left over', () => {
  const isUsed = code.map(([, text]) => textsOf(text))
  assert.deepEqual(
    areas.flatMap(basesOf).filter((base) => !isUsed.some((uses) => uses(base))),
    [],
  )
})

const LOADED_WITH_TEXTS = /withTexts\(\s*\[([^\]]*)\],\s*(?:async )?\(\) =>[^;]*?import\('(\.[^']+)'\)/g
const IMPORTED = /(?:^(?:import|export) (?!type )[^;']*|import\()'(\.[^']+)'/gm

/** The files that come with one, but not what comes later with texts of its own. */
function reachedFrom(entry: string, reached = new Set<string>()): ReadonlySet<string> {
  if (reached.has(entry) || !isCode(entry) || !/\.tsx?$/.test(entry)) return reached
  reached.add(entry)
  const text = readFileSync(join(SOURCE, entry), 'utf8').replaceAll(LOADED_WITH_TEXTS, '')
  for (const [, path = ''] of text.matchAll(IMPORTED)) reachedFrom(join(dirname(entry), path), reached)
  return reached
}

test('what is loaded once it is wanted comes with its texts', () => {
  const parts = code.flatMap(([file, text]) =>
    [...text.matchAll(LOADED_WITH_TEXTS)].map(([, names = '', path = '']) => ({
      entry: join(dirname(file), path),
      there: ['frame', ...(names.match(/\w+/g) ?? [])],
    })),
  )
  assert.ok(parts.length > 10)
  for (const { entry, there } of [{ entry: 'main.tsx', there: ['frame'] }, ...parts]) {
    const lacking = areas.filter((area) => !there.includes(area)).flatMap(basesOf)
    for (const file of reachedFrom(entry)) {
      const uses = textsOf(readFileSync(join(SOURCE, file), 'utf8'))
      assert.deepEqual(lacking.filter(uses), [], `${file}, which comes with ${entry}`)
    }
  }
})
