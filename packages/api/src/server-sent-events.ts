/** Server-sent events (HTML Living Standard, 9.2): only what Stead sends, `id`, `data` and comments. */

export interface ServerSentEvent {
  readonly id: string
  readonly data: string
}

export function formatServerSentEvent(event: ServerSentEvent): string {
  const lines = event.data.split('\n').map((line) => `data: ${line}`)
  return `id: ${event.id}\n${lines.join('\n')}\n\n`
}

/** A comment: keeps the connection visibly alive, means nothing. */
export const SERVER_SENT_HEARTBEAT = ': alive\n\n'

export async function* parseServerSentEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder()
  let pending = ''
  let id = ''
  let data: string[] = []
  for await (const chunk of body) {
    pending += decoder.decode(chunk, { stream: true })
    const lines = pending.split('\n')
    pending = lines.pop() ?? ''
    for (const line of lines) {
      if (line.startsWith('id: ')) id = line.slice(4)
      else if (line.startsWith('data: ')) data.push(line.slice(6))
      else if (line === '' && data.length > 0) {
        yield { id, data: data.join('\n') }
        data = []
      }
    }
  }
}
