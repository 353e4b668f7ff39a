import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { en } from './en.ts'
import { fr } from './fr.ts'
import { LANGUAGES } from './language.ts'
import { pl } from './pl.ts'

const TABLES: Readonly<Record<(typeof LANGUAGES)[number], Readonly<Record<string, string>>>> = { en, fr, pl }
const PLURAL = /_(zero|one|two|few|many|other)$/
const SOURCE = join(import.meta.dirname, '..')

const bases = (table: object) => [...new Set(Object.keys(table).map((key) => key.replace(PLURAL, '')))].toSorted()
const isCounted = (base: string) => `${base}_other` in en

test('every text is there in every language, in all the forms in which that language counts', () => {
  for (const language of LANGUAGES) {
    const table = TABLES[language]
    assert.deepEqual(bases(table), bases(en), language)
    const forms = new Intl.PluralRules(language).resolvedOptions().pluralCategories
    for (const base of bases(en)) {
      const wanted = isCounted(base) ? forms.map((form) => `${base}_${form}`) : [base]
      for (const key of wanted) assert.ok(table[key], `${language} has no ${key}`)
    }
  }
})

test('a text takes the same values in every language', () => {
  const values = (text: string) => [...text.matchAll(/\{\{(\w+)\}\}/g)].map(([, name]) => name).toSorted()
  for (const [key, text] of Object.entries(en)) {
    // `one guest` needs no figure.
    if (PLURAL.test(key)) continue
    for (const table of [fr, pl]) assert.deepEqual(values(table[key] ?? ''), values(text), key)
  }
})

test('no text is left over', () => {
  const code = globSync('**/*.{ts,tsx}', { cwd: SOURCE })
    .filter((file) => !file.endsWith('.test.ts') && !/^i18n\/(en|fr|pl)\.ts$/.test(file))
    .map((file) => readFileSync(join(SOURCE, file), 'utf8'))
    .join('\n')
  // `state.${state}`: whatever begins so is used.
  const prefixes = [...code.matchAll(/`([a-z][\w.]*\.)\$\{/g)].map(([, prefix = '']) => prefix)
  const unused = bases(en).filter(
    (base) => !code.includes(`'${base}'`) && !prefixes.some((prefix) => base.startsWith(prefix)),
  )
  assert.deepEqual(unused, [])
})
