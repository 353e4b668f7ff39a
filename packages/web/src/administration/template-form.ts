/** What is said of an archive that becomes a template of containers; what is empty is left to the cluster. */
import { wordsOf } from '../guests/create-form.ts'

export interface TemplateForm {
  readonly version: string
  readonly init: string
  readonly haltSignal: string
  readonly signature: string
}

export const EMPTY_TEMPLATE: TemplateForm = { version: '', init: '', haltSignal: '', signature: '' }

export function templateOf({ version, init, haltSignal, signature }: TemplateForm) {
  const texts = { version: version.trim(), haltSignal: haltSignal.trim(), signature: signature.trim() }
  return {
    ...Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== '')),
    ...(init.trim() === '' ? {} : { init: wordsOf(init) }),
  }
}
