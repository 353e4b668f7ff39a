/** A terminal for tests: its cluster answers what the test says, and what was sent and printed is kept. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { problemFromFailure } from '@stead/api/errors.ts'
import type { Transport } from '@stead/api/transport.ts'
import type { Failure } from '@stead/core/errors.ts'
import { buildProgram, runProgram } from './program.ts'
import type { Terminal } from './session.ts'

/** A document, `refusal`, `bytes`, or a function that gives one of them. */
type Answer = unknown
interface Sent {
  readonly line: string
  readonly body: string
}

export const refusal = (value: Failure) => ({ refused: value })
export const bytes = (text: string) => ({ bytes: text })

/** A terminal whose cluster answers what the test says for `METHOD /path`. */
export async function terminalWith(context: TestContext, answers: Record<string, Answer>) {
  const folder = await mkdtemp(join(tmpdir(), 'stead-cli-'))
  context.after(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'context.json')
  await writeFile(path, JSON.stringify({ name: 'test', endpoints: [{ host: 'h1', unix: '/nowhere' }], token: 't' }))
  const sent: Sent[] = []
  const seen = { stdout: '', stderr: '', exitCode: 0, sent, folder, interrupt: () => undefined as unknown }
  const transport: Transport = {
    async send(_target, request) {
      const line = `${request.method} ${decodeURIComponent(request.path)}`
      let body = typeof request.body === 'string' ? request.body : ''
      if (request.body !== undefined && typeof request.body !== 'string') {
        const parts = request.body instanceof Blob ? request.body.stream() : request.body
        for await (const part of parts) body += Buffer.from(part).toString('latin1')
      }
      sent.push({ line, body })
      const found = answers[line.split('?')[0] as string]
      const answer = (typeof found === 'function' ? await found() : found) as Record<string, unknown> | undefined
      if (answer === undefined) throw new Error(`the test has no answer for ${line}`)
      const refused = answer['refused'] as Failure | undefined
      const text = refused
        ? JSON.stringify(problemFromFailure(refused))
        : typeof answer['bytes'] === 'string'
          ? answer['bytes']
          : JSON.stringify(answer)
      const status = refused ? problemFromFailure(refused).status : 200
      return { status, headers: {}, body: once(text) }
    },
  }
  const terminal: Terminal = {
    env: { STEAD_CONTEXT: path },
    stdout: {
      write: (content) =>
        (seen.stdout += typeof content === 'string' ? content : Buffer.from(content).toString('latin1')),
    },
    stderr: { write: (content) => (seen.stderr += content) },
    transport,
    onInterrupt(listener) {
      seen.interrupt = listener
      return () => undefined
    },
    setExitCode: (code) => (seen.exitCode = code),
  }
  const run = async (...argv: string[]) => {
    await runProgram(buildProgram(terminal), argv, terminal)
    return seen
  }
  return { run, seen, terminal }
}

async function* once(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text, 'latin1')
}

export const operation = (state: string, extra: object = {}) => ({
  id: 'op1',
  kind: 'vm.start',
  subject: 'guest/1',
  subjectName: 'web1',
  state,
  progress: 0.5,
  message: 'opening disks',
  startedAt: 0,
  ...extra,
})
