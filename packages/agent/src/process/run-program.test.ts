import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ProgramRunner } from './program-runner.ts'
import { runProgram, startProgram, startProgramsBy, wordsOf } from './run-program.ts'

const RUNNER = join(import.meta.dirname, '../../../../.native/bin/stead-runner')
const BOUND_MS = 20_000
/** Signals 32 and 33, of which glibc says nothing to anybody. */
const GLIBC_OWN = 0x180000000n

const ways = [
  { way: 'by Node', begin: () => undefined },
  { way: 'by stead-runner', begin: () => startProgramsBy(RUNNER) },
]

for (const { way, begin } of ways)
  describe(`a program that is run ${way}`, () => {
    const sh = (script: string, options = {}, timeoutMs = BOUND_MS) =>
      runProgram('sh', ['-c', script], timeoutMs, options)

    it('answers with what it printed', async () => {
      begin()
      assert.deepEqual(await sh('printf "a\\nb"'), { ok: true, value: { status: 0, output: 'a\nb' } })
    })

    it('gets its words as they are', async () => {
      const words = ['', ' ', 'a b', '$HOME', "'", 'é', '-n']
      const said = await runProgram('printf', ['<%s>', ...words], BOUND_MS)
      assert.equal(said.ok && said.value.output, words.map((word) => `<${word}>`).join(''))
    })

    it('finds its input, also a long one, and an end of it where there is none', async () => {
      const input = `${'é'.repeat(700_000)}.`
      const long = await sh('wc -c', { input })
      assert.equal(long.ok && Number(long.value.output), Buffer.byteLength(input))
      const none = await sh('wc -c')
      assert.equal(none.ok && Number(none.value.output), 0)
    })

    it('prints a great deal without waiting for a reader', async () => {
      const said = await sh('head -c 3000000 /dev/zero | tr "\\0" x')
      assert.equal(said.ok && said.value.output.length, 3_000_000)
    })

    it('has the variables that it is given, and no others', async () => {
      const said = await sh('echo "$ONE-$HOME"', { env: { ONE: '1', PATH: process.env['PATH'] } })
      assert.equal(said.ok && said.value.output, '1-\n')
      const odd = await sh('echo "${EMPTY-unset}-${NONE-unset}"', {
        env: { EMPTY: '', NONE: undefined, PATH: process.env['PATH'] },
      })
      assert.equal(odd.ok && odd.value.output, '-unset\n')
      const own = await sh('echo "$PATH"')
      assert.equal(own.ok && own.value.output, `${process.env['PATH']}\n`)
    })

    it('may end with a status that is accepted', async () => {
      assert.deepEqual(await sh('exit 3', { accepted: [0, 3] }), { ok: true, value: { status: 3, output: '' } })
    })

    it('fails with what it complained of, with its status, or with what ended it', async () => {
      const messageOf = async (script: string) => {
        const done = await sh(script)
        return done.ok ? '' : done.error.message
      }
      assert.equal(await messageOf('echo no luck >&2; exit 1'), 'sh failed: no luck')
      assert.equal(await messageOf('exit 7'), 'sh failed: exit status 7')
      assert.equal(await messageOf('kill -TERM $$'), 'sh failed: it was ended by SIGTERM')
      const missing = await runProgram('/nowhere/stead-test', [], BOUND_MS)
      assert.equal(!missing.ok && missing.error.message, '/nowhere/stead-test failed: it cannot be run (ENOENT)')
    })

    it('is ended when it takes too long, and nobody waits for it', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'stead-test-'))
      try {
        const done = await sh(`echo $$ > ${folder}/pid; exec sleep 600`, {}, 300)
        assert.match(done.ok ? '' : done.error.message, /has not ended within 300 ms/)
        const pid = () => Number(readFileSync(join(folder, 'pid'), 'utf8'))
        for (let waited = 0; isThere(pid()) && waited < BOUND_MS; waited += 20) await sleep(20)
        assert.equal(isThere(pid()), false)
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    })

    it('begins with no signal held back or left out', async () => {
      const said = await sh('grep -E "^Sig(Blk|Ign)" /proc/self/status')
      for (const [, mask] of (said.ok ? said.value.output : '').matchAll(/\t([0-9a-f]{16})/g))
        assert.equal(BigInt(`0x${mask}`) & ~GLIBC_OWN, 0n, mask)
      assert.equal(said.ok, true)
    })

    it('is one of many at a time, each with its own answer', async () => {
      const said = await Promise.all(Array.from({ length: 40 }, (_, at) => sh(`sleep 0.0${at % 7}; echo ${at}`)))
      assert.deepEqual(
        said.map((each) => each.ok && Number(each.value.output)),
        Array.from({ length: 40 }, (_, at) => at),
      )
    })

    it('is not waited for by the output that what it leaves behind still holds', async () => {
      if (way === 'by Node') return
      const began = performance.now()
      const said = await sh('sleep 600 & echo $!')
      process.kill(Number(said.ok && said.value.output), 'SIGKILL')
      assert.ok(performance.now() - began < BOUND_MS)
    })
  })

describe('stead-runner', () => {
  const runner = new ProgramRunner(RUNNER)
  after(() => startProgramsBy(RUNNER))

  it('that is ended leaves what was under way unknown, and the next program finds a new one', async () => {
    const held = runner.run({ command: 'sleep', args: ['30'] })
    const itself = await runner.run({ command: 'sh', args: ['-c', 'echo $PPID'] }).ended
    process.kill(Number(itself.output), 'SIGKILL')
    const end = await held.ended
    assert.equal(end.how, 'unknown')
    assert.equal(wordsOf(end), 'stead-runner ended (SIGKILL)')
    const next = await runner.run({ command: 'echo', args: ['there'] }).ended
    assert.equal(next.output, 'there\n')
  })

  it('that is missing is told', async () => {
    const end = await new ProgramRunner('/nowhere/stead-runner').run({ command: 'true', args: [] }).ended
    assert.equal(end.how, 'unknown')
    assert.match(wordsOf(end), /ENOENT/)
  })

  it('hands no file of its own down', async () => {
    const { output } = await runner.run({ command: 'ls', args: ['/proc/self/fd'] }).ended
    // The last is the folder that `ls` reads.
    assert.deepEqual(output.trim().split('\n'), ['0', '1', '2', '3'])
  })

  it('refuses a word that would become two', () => {
    assert.throws(() => runner.run({ command: 'echo', args: ['a\0b'] }), /zero byte/)
  })

  it('ends with who started it', async () => {
    const ended = startProgram({ command: process.execPath, args: ['--input-type=module', '-e', ENDS_AT_ONCE] })
    const { output, errors } = await ended.ended
    assert.match(output, /^\d+\n$/, errors)
    for (let waited = 0; isThere(Number(output)) && waited < BOUND_MS; waited += 20) await sleep(20)
    assert.equal(isThere(Number(output)), false)
  })
})

const ENDS_AT_ONCE = `
  import { ProgramRunner } from ${JSON.stringify(join(import.meta.dirname, 'program-runner.ts'))}
  const { output } = await new ProgramRunner(${JSON.stringify(RUNNER)}).run({ command: 'sh', args: ['-c', 'echo $PPID'] }).ended
  console.log(output.trim())`

function isThere(pid: number): boolean {
  return readdirSync('/proc').includes(String(pid))
}
