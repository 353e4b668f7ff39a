import assert from 'node:assert/strict'
import { it } from 'node:test'
import { lastEnd } from './noted-end.ts'

it('is the newest of a number that came again, wherever the init wrote it', () => {
  const notes = [
    '         256         12 exit          0',
    '           1         12 signal       11',
    '           2        112 signal        9',
    '           3         13 signal       64',
  ]
  assert.equal(lastEnd(`${notes.join('\n')}\n`, 12), 'exit status 0')
  assert.equal(lastEnd(`${notes.slice(1).join('\n')}\n`, 12), 'SIGSEGV')
  assert.equal(lastEnd(`${notes.join('\n')}\n`, 13), 'signal 64')
  assert.equal(lastEnd(`${notes.join('\n')}\n`, 1), undefined)
  assert.equal(lastEnd('', 12), undefined)
})
