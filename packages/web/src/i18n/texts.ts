/** The interface's own words in the language of its user. What the cluster says comes from the API, in English. */
import { useSyncExternalStore } from 'react'
import { en } from './en.ts'
import { LANGUAGES, type Language, type Text } from './language.ts'
import { textIn } from './text-in.ts'

const LANGUAGE_KEY = 'stead.language'

/** French and Polish come only when they are wanted. */
const TABLES: Readonly<Record<Language, () => Promise<Readonly<Record<string, string>>>>> = {
  en: async () => en,
  fr: async () => (await import('./fr.ts')).fr,
  pl: async () => (await import('./pl.ts')).pl,
}

let current: { readonly language: Language; readonly text: Text } = { language: 'en', text: textIn('en', en) }
const listeners = new Set<() => void>()

export async function startTexts(): Promise<void> {
  await setLanguage(languageOfUser())
}

export async function setLanguage(language: Language): Promise<void> {
  const table = await TABLES[language]()
  current = { language, text: textIn(language, table) }
  document.documentElement.lang = language
  localStorage.setItem(LANGUAGE_KEY, language)
  for (const listener of listeners) listener()
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
