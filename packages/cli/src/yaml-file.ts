/** YAML that a person wrote, as plain data; what is wrong is said with its line. */
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** Nested aliases grow a small text without bound. */
const ALIASES_MAX = 100

export async function yamlFile(text: string, path: string): Promise<Result<unknown>> {
  // Loaded here: a sixth of the time of every other command would go to its seventy files.
  const { parseDocument } = await import('yaml')
  const document = parseDocument(text, { version: '1.2', uniqueKeys: true, prettyErrors: true, stringKeys: true })
  const [error] = [...document.errors, ...document.warnings]
  if (error) return fail(failure('bad_request', `${path} is not YAML: ${error.message.split('\n')[0] ?? ''}`))
  try {
    return ok(document.toJS({ maxAliasCount: ALIASES_MAX }))
  } catch (cause) {
    return fail(failure('bad_request', `${path} is not YAML: ${(cause as Error).message}`, { cause }))
  }
}
