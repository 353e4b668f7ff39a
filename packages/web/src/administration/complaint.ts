import { describeIssues } from '@stead/api/issues.ts'
import type { z } from 'zod'

/** What the API's own schema says against a request; undefined when nothing. */
export function complaintOf(schema: z.ZodType, body: unknown): string | undefined {
  const checked = schema.safeParse(body)
  return checked.success ? undefined : describeIssues(checked.error.issues, schema).message
}
