import type { WebSocket } from 'ws'

const PING_INTERVAL_MS = 5_000

/** Cuts a client off that does not answer any more; it has gone without a word. Call what it returns when it is closed. */
export function keepPinged(socket: WebSocket): () => void {
  let answered = true
  const pings = setInterval(() => {
    if (!answered) return socket.terminate()
    answered = false
    socket.ping()
  }, PING_INTERVAL_MS)
  socket.on('pong', () => (answered = true))
  return () => clearInterval(pings)
}
