import { request } from 'node:http'

/**
 * Whether the agent behind a unix socket answers HTTP in time. A connection alone proves nothing: the kernel accepts
 * it on behalf of a frozen process.
 */
export function agentAnswers(socket: string, timeoutMs = 1000): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ socketPath: socket, path: '/', agent: false }, (answer) => {
      // Any status will do: an agent that refuses a caller without a token, or has lost the quorum, is alive.
      answer.resume()
      resolve(true)
    })
    const limit = setTimeout(() => asked.destroy(), timeoutMs)
    asked.on('error', () => resolve(false))
    asked.on('close', () => {
      clearTimeout(limit)
      resolve(false)
    })
    asked.end()
  })
}
