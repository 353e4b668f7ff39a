/** A file system that is really full, in a mount namespace of the test's own. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

const MIB = 2 ** 20

/**
 * Runs inside the namespace: two replicas are asked for at once, each of which would fit alone. They are large, so that
 * the second one's look at the free space comes while the first is still being allocated.
 */
async function allocateTwo(folder: string): Promise<string> {
  const { readdirSync } = await import('node:fs')
  const { allocate } = await import('./replica-files.ts')
  const pool = { name: 'default', path: join(folder, 'pool'), capacityBytes: 1024 * MIB, port: 0 }
  const answers = await Promise.all(['a', 'b'].map((volume) => allocate(pool, volume as never, 400 * MIB)))
  const said = answers.map((answer) => (answer.ok ? 'ok' : `${answer.error.code}: ${answer.error.message}`))
  return JSON.stringify({ said: said.toSorted(), files: readdirSync(pool.path) })
}

const [, , inside] = process.argv
if (inside !== undefined) {
  process.stdout.write(await allocateTwo(inside))
} else {
  test('a file system that turns out to be full while a replica is allocated: refused, nothing left behind', (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'stead-full-'))
    context.after(() => rmSync(folder, { recursive: true }))
    const script = 'mount -t tmpfs -o size=700m tmpfs "$1" && exec "$2" "$3" "$1"'
    const output = execFileSync(
      'unshare',
      ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', folder, process.execPath, import.meta.filename],
      { encoding: 'utf8', timeout: 30_000, env: { ...process.env, NODE_TEST_CONTEXT: undefined } },
    )
    const { said, files } = JSON.parse(output) as { said: string[]; files: string[] }
    // Of two that fill it together, both may be told so.
    assert(said.includes('no_capacity: The file system of pool default is full'), said.join('; '))
    assert.equal(files.length, said.filter((answer) => answer === 'ok').length, files.join(' '))
  })
}
