/** The shape of a problem document, RFC 9457. */
import { z } from 'zod'

export const problemSchema = z.object({
  type: z.string().describe('`urn:stead:problem:<code>`'),
  title: z.string().describe('What kind of problem, the same for every occurrence'),
  status: z.number().int().describe('HTTP status'),
  detail: z.string().describe('What happened to this request'),
  code: z.string().describe('Stable; the list is in docs/operating/cli.md'),
  hint: z.string().exactOptional().describe('What the administrator can do'),
  causes: z.array(z.string()).exactOptional().describe('What lies beneath, outermost first'),
})
export type Problem = z.output<typeof problemSchema>
