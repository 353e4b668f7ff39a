/** The JSON of objects that are sent often and never change: a list of them is put together in place of being made anew. */

const kept = new WeakMap<object, Buffer>()
const keptLists = new WeakSet<readonly object[]>()

/** `json`: what `JSON.stringify` makes of it. From now on nobody may change it. */
export function keepJson(value: object, json: Buffer): void {
  kept.set(value, json)
}

/** Of this very list, as `{ items: list }`, the JSON will be kept too. */
export function keepList(list: readonly object[]): void {
  keptLists.add(list)
}

const [HEAD, COMMA] = [Buffer.from('{"items":['), Buffer.from(',')]

/** As JSON: a Buffer where it is a list of which an item is kept. A list that was itself marked by `keepList` is kept. */
export function jsonOf(value: unknown): string | Buffer {
  const { items, ...rest } = (value ?? {}) as { readonly items?: readonly object[] }
  if (!Array.isArray(items) || !items.some((item) => kept.has(item))) return JSON.stringify(value)
  const more = JSON.stringify(rest)
  const known = more === '{}' ? kept.get(items) : undefined
  if (known) return known
  const parts: Buffer[] = []
  for (const item of items as readonly object[])
    parts.push(parts.length === 0 ? HEAD : COMMA, kept.get(item) ?? Buffer.from(JSON.stringify(item)))
  const json = Buffer.concat([...parts, Buffer.from(more === '{}' ? ']}' : `],${more.slice(1)}`)])
  if (more === '{}' && keptLists.has(items)) kept.set(items, json)
  return json
}
