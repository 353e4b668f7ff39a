import assert from 'node:assert/strict'
import { test } from 'node:test'
import { consolesOf, hasConsoleNow } from './console-kinds.ts'

test('a machine has a serial console, and a screen if it was made with one; a container a shell', () => {
  assert.deepEqual(consolesOf({ kind: 'vm', display: 'none' }), ['serial'])
  assert.deepEqual(consolesOf({ kind: 'vm', display: 'vga' }), ['vnc', 'serial'])
  assert.deepEqual(consolesOf({ kind: 'ct', display: 'none' }), ['shell', 'serial'])
})

test('who does not run has no console', () => {
  const states = ['running', 'paused', 'starting', 'stopping', 'stopped', 'waiting', 'error', 'creating'] as const
  assert.deepEqual(
    states.filter((state) => hasConsoleNow({ state })),
    ['running', 'paused', 'starting', 'stopping'],
  )
})
