import assert from 'node:assert/strict'
import { test } from 'node:test'
import { linesOf } from './command-lines.ts'

test('each line is one argument, whatever stands in it', () => {
  assert.deepEqual(linesOf('/bin/echo\na b  "c"\n$HOME'), ['/bin/echo', 'a b  "c"', '$HOME'])
})

test('lines at the end that are empty are none; one in between is an empty argument', () => {
  assert.deepEqual(linesOf('/bin/echo\r\n\r\nb\r\n\r\n'), ['/bin/echo', '', 'b'])
})
