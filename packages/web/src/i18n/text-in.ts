/**
 * Texts with values and plurals, in the form of i18next's tables. Its 17 kB of the first load did what these lines do:
 * everything else that it can (loading, detection, name spaces, nesting) is not asked for here.
 */
import type { Text } from './language.ts'

export function textIn(language: string, table: Readonly<Record<string, string>>): Text {
  const plurals = new Intl.PluralRules(language)
  const numbers = new Intl.NumberFormat(language)
  return (key, values = {}) => {
    const { count } = values
    const form = typeof count === 'number' ? table[`${key}_${plurals.select(count)}`] : undefined
    const text = form ?? table[key] ?? key
    return text.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => {
      const value = values[name] ?? ''
      return typeof value === 'number' ? numbers.format(value) : value
    })
  }
}
