import type { z } from 'zod'
import { describeIssues } from '@stead/api/issues.ts'

/** What the API's own schema says against a request; undefined when nothing. */
export function complaintOf(schema: z.ZodType, request: unknown): string | undefined {
  const checked = schema.safeParse(request)
  return checked.success ? undefined : describeIssues(checked.error.issues, schema).message
}
