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

/**
 * Whether the cluster behind this agent has `hosts` hosts, all online. True also when the answer is none of an agent's:
 * then there is nothing to wait for.
 */
export function clusterIsWhole(socket: string, hosts: number, timeoutMs = 1000): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ socketPath: socket, path: '/v1/cluster', agent: false }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (part: string) => (text += part))
      answer.on('end', () =>
        resolve(answer.statusCode === 200 ? onlineHosts(text) >= hosts : answer.statusCode === 404),
      )
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

function onlineHosts(text: string): number {
  try {
    return (JSON.parse(text) as { hosts?: { online?: number } }).hosts?.online ?? Infinity
  } catch {
    // Not an agent's answer.
    return Infinity
  }
}
