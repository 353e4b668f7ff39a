/**
 * What every list takes besides its own query: a part of it by key, only the items that are wanted, only their fields that
 * are wanted. The same for all lists; an endpoint says by `listedBy` what its items are known by.
 */
import { z } from 'zod'
import { queryInteger } from './endpoints/parameters.ts'

export const LIST_LIMIT_MAX = 10_000
export const FILTER_LENGTH_MAX = 2_048
const CURSOR_LENGTH_MAX = 2_048
const FIELDS_LENGTH_MAX = 2_048

export const FILTER_OPERATORS = ['!=', '<=', '>=', '=', '<', '>', '~'] as const
export type FilterOperator = (typeof FILTER_OPERATORS)[number]

export const listQuerySchema = z.strictObject({
  limit: queryInteger(1, LIST_LIMIT_MAX)
    .optional()
    .describe('At most so many, in the order of their keys; `next` of the answer is the cursor of those after them'),
  cursor: z.string().max(CURSOR_LENGTH_MAX).optional().describe('`next` of the answer before'),
  filter: z
    .string()
    .max(FILTER_LENGTH_MAX)
    .optional()
    .describe(
      'Only items of which all of this is so, separated by commas: `state=running,memoryBytes>=1073741824,tags=prod`. ' +
        '`=` `!=` `<` `<=` `>` `>=`, `~` contains; `a.b` is a field within a field; of a list one item is enough; ' +
        'a value with a comma is put in double quotes, as JSON',
    ),
  fields: z
    .string()
    .max(FIELDS_LENGTH_MAX)
    .optional()
    .describe('Only these fields of each item, separated by commas: `name,state`'),
})
export type ListQuery = z.output<typeof listQuerySchema>

export const nextSchema = z
  .string()
  .nullable()
  .optional()
  .describe('Cursor of the items after these; null: there are none. Absent where no part was asked for')
