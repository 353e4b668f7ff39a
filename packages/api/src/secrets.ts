/** Fields of records that nobody may read again, said where their schema is; and the records without them. */
import { z } from 'zod'

const secrets = new WeakSet<z.core.$ZodType>()

/** What is at this place of a record is left out of whatever is shown or told of it. */
export function secret<Schema extends z.ZodType>(schema: Schema): Schema {
  secrets.add(schema)
  return schema
}

export const MASK = '(secret)'

/** The same value, with every secret of its schema replaced. */
export function maskedBy(schema: z.core.$ZodType, value: unknown): unknown {
  if (value === undefined || value === null) return value
  if (secrets.has(schema)) return MASK
  const def = schema._zod.def as unknown as SchemaDefinition
  switch (def.type) {
    case 'object':
      return typeof value === 'object' && def.shape ? maskedFields(def.shape, value) : value
    case 'array':
      return Array.isArray(value) && def.element ? value.map((item) => maskedBy(def.element!, item)) : value
    case 'record':
      return typeof value === 'object' && def.valueType
        ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, maskedBy(def.valueType!, item)]))
        : value
    case 'union': {
      const fitting = def.options?.find((option) => z.safeParse(option, value).success)
      return fitting ? maskedBy(fitting, value) : MASK
    }
    case 'optional':
    case 'nullable':
    case 'default':
    case 'readonly':
    case 'nonoptional':
      return def.innerType ? maskedBy(def.innerType, value) : value
    default:
      return value
  }
}

/** Where the secrets of a record are, as paths of fields; those within lists and maps are none of a record's own. */
export function secretFields(schema: z.core.$ZodType): (readonly string[])[] {
  if (secrets.has(schema)) return [[]]
  const def = schema._zod.def as unknown as SchemaDefinition
  if (def.shape)
    return Object.entries(def.shape).flatMap(([name, field]) => secretFields(field).map((path) => [name, ...path]))
  return [...(def.options ?? []), ...(def.innerType ? [def.innerType] : [])].flatMap(secretFields)
}

interface SchemaDefinition {
  readonly type: string
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>
  readonly element?: z.core.$ZodType
  readonly valueType?: z.core.$ZodType
  readonly innerType?: z.core.$ZodType
  readonly options?: readonly z.core.$ZodType[]
}

/** What the schema does not know is not shown: it may be anything. */
function maskedFields(shape: Readonly<Record<string, z.core.$ZodType>>, value: object): object {
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => {
      const schema = Object.hasOwn(shape, name) ? shape[name] : undefined
      return [name, schema ? maskedBy(schema, field) : MASK]
    }),
  )
}
