/** What a page has made or fetched, as a file on the user's own machine. */

/** Browsers read the address of what they save a moment later. */
const READ_MS = 1_000

export function saveFile(name: string, content: Blob): void {
  const url = URL.createObjectURL(content)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), READ_MS)
}

/** What comes as a stream is held in memory until it is whole. */
export async function saveStream(name: string, body: AsyncIterable<Uint8Array>, type: string): Promise<void> {
  const parts: BlobPart[] = []
  for await (const part of body) parts.push(new Uint8Array(part))
  saveFile(name, new Blob(parts, { type }))
}

export function saveText(name: string, text: string, type = 'text/csv;charset=utf-8'): void {
  saveFile(name, new Blob([text], { type }))
}
