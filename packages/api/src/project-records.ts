/** Tenants, as the store keeps them. */
import { z } from 'zod'
import { wallMs } from './record-values.ts'

export const projectName = z.string().describe('Whose it is: the name of a project')

export const projectSchema = z.object({
  name: z.string(),
  notes: z.string().exactOptional(),
  createdAt: wallMs('When it was created'),
})
