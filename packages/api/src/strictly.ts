/** Schemas of the store's records drop fields that they do not know; what a person writes must be refused instead. */
import { z } from 'zod'

/** The schema with every object in it refusing unknown fields. Knows the kinds of schema that records are made of. */
export function strictly<Schema extends z.ZodType>(schema: Schema): Schema {
  return made(schema) as unknown as Schema
}

function made(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodObject) {
    const shape = Object.entries(schema.shape as Record<string, z.ZodType>)
    return z.strictObject(Object.fromEntries(shape.map(([name, field]) => [name, made(field)])))
  }
  if (schema instanceof z.ZodArray) return schema.clone({ ...schema.def, element: made(schema.element as z.ZodType) })
  if (schema instanceof z.ZodExactOptional) return z.exactOptional(made(schema.unwrap() as z.ZodType))
  if (schema instanceof z.ZodDiscriminatedUnion) {
    return schema.clone({ ...schema.def, options: schema.options.map((option) => made(option as z.ZodType)) })
  }
  return schema
}
