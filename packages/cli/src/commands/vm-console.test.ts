import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { bytes, terminalWith } from '../terminal-fixture.ts'

const PASTE = 'POST /v1/guests/web1/console/paste'

test('a long text is typed in pieces that no character is torn by', async (context) => {
  const { run, seen } = await terminalWith(context, { [PASTE]: { keystrokes: 100 } })
  const file = join(seen.folder, 'text')
  writeFileSync(file, `${'é'.repeat(450)}\r\n`)
  await run('vm', 'paste', 'web1', '--file', file, '--layout', 'fr', '--enter')
  assert.equal(seen.exitCode, 0)
  const sent = seen.sent.map(({ body }) => JSON.parse(body) as { text: string; layout: string })
  assert.deepEqual(
    sent.map(({ text, layout }) => [text.length, layout]),
    [
      [200, 'fr'],
      [200, 'fr'],
      [52, 'fr'],
    ],
  )
  assert.equal(sent.map(({ text }) => text).join(''), `${'é'.repeat(450)}\n\n`)
  assert.match(seen.stdout, /typed 300 keystrokes into web1/)
})

test('what cannot be typed whole is not begun', async (context) => {
  const { run, seen } = await terminalWith(context, {})
  await run('vm', 'paste', 'web1', '--text', `${'x'.repeat(500)}ż`)
  assert.equal(seen.exitCode, 2)
  assert.match(seen.stderr, /us cannot type ż \(line 1, column 501\)/)
  assert.deepEqual(seen.sent, [])
})

test('wrong arguments are refused before anything is sent', async (context) => {
  const { run, seen } = await terminalWith(context, {})
  const broken = join(seen.folder, 'latin1')
  writeFileSync(broken, Buffer.from([0x66, 0xe9, 0x0a]))
  for (const args of [
    [],
    ['--text', 'a', '--file', broken],
    ['--text', ''],
    ['--file', broken],
    ['--file', join(seen.folder, 'absent')],
    ['--text', 'a', '--layout', 'dvorak'],
  ]) {
    seen.exitCode = 0
    await run('vm', 'paste', 'web1', ...args)
    assert.equal(seen.exitCode, 2, args.join(' '))
  }
  assert.deepEqual(seen.sent, [])
})

test('a picture goes into a file, or to standard output', async (context) => {
  const { run, seen } = await terminalWith(context, { 'GET /v1/guests/web1/screenshot': bytes('\u0089PNG...') })
  const file = join(seen.folder, 'screen.png')
  await run('vm', 'screenshot', 'web1', '--file', file)
  assert.equal(readFileSync(file, 'latin1'), '\u0089PNG...')
  assert.equal(seen.stdout, `${file}: the screen of web1\n`)
  seen.stdout = ''
  await run('vm', 'screenshot', 'web1', '--file', '-')
  assert.equal(seen.stdout, '\u0089PNG...')
})

test('a display is vga or none', async (context) => {
  const { run, seen } = await terminalWith(context, {})
  await run('vm', 'set', 'web1', '--display', 'crt')
  assert.equal(seen.exitCode, 2)
  assert.match(seen.stderr, /--display: `crt` is no display/)
})
