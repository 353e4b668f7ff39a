import type { en } from './en.ts'

export const LANGUAGES = ['en', 'fr', 'pl'] as const
export type Language = (typeof LANGUAGES)[number]

/** Languages count in different ways (`_one`, `_few`, `_many`, `_other`); the text is asked for by the word before. */
type WithoutPlural<Key extends string> = Key extends `${infer Base}_${'one' | 'other'}` ? Base : Key
export type TextKey = WithoutPlural<keyof typeof en & string>

export type Text = (key: TextKey, values?: Readonly<Record<string, string | number>>) => string
