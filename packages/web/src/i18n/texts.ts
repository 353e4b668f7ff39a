/** The interface's own words in the language of its user. What the cluster says comes from the API, in English. */
import { useSyncExternalStore } from 'react'
import { texts as frameInEnglish } from './en/frame.ts'
import { LANGUAGES, type Area, type Language, type Text, type TextTable } from './language.ts'
import { textIn } from './text-in.ts'

const LANGUAGE_KEY = 'stead.language'

interface Shown {
  readonly language: Language
  readonly tables: ReadonlyMap<Area, TextTable>
  readonly text: Text
}

let current = shown('en', new Map([['frame', frameInEnglish]]))
const listeners = new Set<() => void>()

export async function startTexts(): Promise<void> {
  await setLanguage(languageOfUser())
}

export async function setLanguage(language: Language): Promise<void> {
  const areas = [...current.tables.keys()]
  const tables = await tablesOf(language, areas)
  // A page may have come meanwhile, with texts of its own.
  if (current.tables.size > areas.length) return setLanguage(language)
  show(language, tables)
  document.documentElement.lang = language
  localStorage.setItem(LANGUAGE_KEY, language)
}

/** What is loaded once it is wanted, and the texts that it needs beside the frame's. */
export function withTexts<Module>(areas: readonly Area[], load: () => Promise<Module>): () => Promise<Module> {
  return async () => {
    const [module] = await Promise.all([load(), loadTexts(areas)])
    return module
  }
}

async function loadTexts(areas: readonly Area[]): Promise<void> {
  const { language, tables } = current
  const missing = areas.filter((area) => !tables.has(area))
  if (missing.length === 0) return
  const loaded = await tablesOf(language, missing)
  if (current.language !== language) return loadTexts(areas)
  show(language, new Map([...current.tables, ...loaded]))
}

async function tablesOf(language: Language, areas: readonly Area[]): Promise<Shown['tables']> {
  return new Map(await Promise.all(areas.map(async (area) => [area, await tableOf(language, area)] as const)))
}

async function tableOf(language: Language, area: Area): Promise<TextTable> {
  if (language === 'en' && area === 'frame') return frameInEnglish
  return ((await import(`./${language}/${area}.ts`)) as { texts: TextTable }).texts
}

function show(language: Language, tables: Shown['tables']): void {
  current = shown(language, tables)
  for (const listener of listeners) listener()
}

function shown(language: Language, tables: Shown['tables']): Shown {
  return { language, tables, text: textIn(language, Object.assign({}, ...tables.values())) }
}

function languageOfUser(): Language {
  const wanted = [localStorage.getItem(LANGUAGE_KEY) ?? '', ...navigator.languages].map((tag) => tag.slice(0, 2))
  return wanted.find((tag): tag is Language => (LANGUAGES as readonly string[]).includes(tag)) ?? 'en'
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export function useLanguage(): Language {
  return useSyncExternalStore(subscribe, () => current.language)
}

export function useText(): Text {
  return useSyncExternalStore(subscribe, () => current.text)
}
