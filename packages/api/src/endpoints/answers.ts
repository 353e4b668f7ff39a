/** What several endpoints answer, and what several bodies may say. */
import { z } from 'zod'
import { operationViewSchema } from '../views.ts'

export const warnings = z.array(z.string()).describe('What the user should know of it, one sentence each')

export const started = z.object({ operation: operationViewSchema })

export const startedWithWarnings = z.object({ operation: operationViewSchema, warnings })

export const acceptBreach = z
  .boolean()
  .default(false)
  .describe('Do it even where the policy refuses what would leave guests without a place after a loss')
