import { spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The repository's top folder. */
export const ROOT = fileURLToPath(new URL('../', import.meta.url)).replace(/\/$/, '')

/** What stops `./dev` with a message for the person who called it. */
export class DevFailure extends Error {
  override name = 'DevFailure'
}

/** Runs a program on this terminal, in the repository's top folder; the value is its exit code. */
export function runProgram(
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd: ROOT, stdio: 'inherit', env })
    // The program gets the terminal's signals itself; this process waits for it to end in its own way.
    const wait = () => undefined
    process.on('SIGINT', wait)
    child.on('error', (cause) => reject(new DevFailure(`cannot run ${file}`, { cause })))
    child.on('close', (code) => {
      process.off('SIGINT', wait)
      resolve(code ?? 1)
    })
  })
}

/** As `runProgram`, but anything other than success stops `./dev`. */
export async function mustRun(file: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<void> {
  const code = await runProgram(file, args, env)
  if (code !== 0) throw new DevFailure(`${file} ${args.join(' ')} ended with exit code ${code}`)
}

/** Standard output of a short program; undefined when it is missing or fails. */
export function outputOf(file: string, args: readonly string[]): string | undefined {
  const done = spawnSync(file, args, {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 60_000,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  return done.status === 0 ? done.stdout : undefined
}
